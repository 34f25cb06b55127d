package oslorpc

// Instance returns the server as discovery lists it, with the address that others connect to; false if it does not run.
func (s *Server) Instance() (Instance, bool) {
	t := s.transport
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.host == nil {
		return Instance{}, false
	}
	for _, m := range t.host.members {
		if m.owner == s {
			return newInstance(m.server.Instance), true
		}
	}
	return Instance{}, false
}
