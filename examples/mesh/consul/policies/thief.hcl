# A client of the topic stock, which is the service thief.
service "oslorpc-openstack-stock" { policy = "read" }
node_prefix ""                    { policy = "read" }
service "thief"                   { policy = "write" }
