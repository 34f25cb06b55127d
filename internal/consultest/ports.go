package consultest

import (
	"fmt"
	"net"
)

// freePorts returns different ports of 127.0.0.1 that are free for both TCP and UDP.
func freePorts(count int) ([]int, error) {
	var ports []int
	// Ports stay open until all are found, so that no port is found twice. Some ports are free for
	// TCP and not for UDP.
	for range 10 * count {
		tcp, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return nil, err
		}
		defer tcp.Close()
		port := tcp.Addr().(*net.TCPAddr).Port
		udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
		if err != nil {
			continue
		}
		defer udp.Close()
		ports = append(ports, port)
		if len(ports) == count {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("no %d free ports on 127.0.0.1", count)
}
