package oslorpc

// CanSendVersion reports whether the version cap lets messages of the client's version through, so that a program can choose what
// to send: upstream's can_send_version. It does not look at the network. No version counts as 1.0, which is how servers read
// it; upstream, a client with a cap and no version can send nothing. A client whose target or options are mistaken can send nothing.
func (c *Client) CanSendVersion() bool {
	s := &c.settings
	return s.err == nil && s.cap.Allows(s.query.Version)
}

// CanSendVersionOf is [Client.CanSendVersion] for another version than the client's: what it would report after
// Prepare(WithVersion(version)). Its error is what is mistaken in the version, or in the client's target or options.
func (c *Client) CanSendVersionOf(version string) (bool, error) {
	s := c.settings
	s.target.Version = version
	if err := s.compute(c.transport.config.exchange); err != nil {
		return false, err
	}
	return s.cap.Allows(s.query.Version), nil
}
