# A client of the topic stock, which is the service shop.
service "oslorpc-openstack-stock" { policy = "read" }
node_prefix ""                    { policy = "read" }
service "shop"                    { policy = "write" }
