# A server on the topic stock: it announces itself, and is the service of its topic.
service "oslorpc-openstack-stock"          { policy = "write" }
service "oslorpc-openstack-stock--process" { policy = "write" }
node_prefix ""                             { policy = "read" }

# The service that it is when it sends.
service "warehouse" { policy = "write" }
