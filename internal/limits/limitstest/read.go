package limitstest

import "golang.org/x/net/http2"

// read handles the frames of the server until the connection ends.
func (c *Client) read() {
	for {
		frame, err := c.framer.ReadFrame()
		c.mu.Lock()
		if err != nil {
			c.over = err
		} else {
			c.take(frame)
		}
		c.change.Broadcast()
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// take handles a frame. The lock is held.
func (c *Client) take(frame http2.Frame) {
	id := frame.Header().StreamID
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		c.settle(f)
	case *http2.WindowUpdateFrame:
		c.room[id] += int64(f.Increment)
	case *http2.PingFrame:
		if !f.IsAck() {
			_ = c.framer.WritePing(true, f.Data)
		}
	case *http2.RSTStreamFrame:
		if _, ended := c.ends[id]; !ended {
			c.ends[id] = End{IsReset: true, Reset: f.ErrCode}
		}
	case *http2.MetaHeadersFrame:
		if f.StreamEnded() {
			c.ends[id] = endOf(f)
		}
	case *http2.DataFrame:
		if n := f.Header().Length; c.Reads && n > 0 {
			_ = c.framer.WriteWindowUpdate(0, n)
			if !f.StreamEnded() {
				_ = c.framer.WriteWindowUpdate(id, n)
			}
		}
	}
}

// settle handles settings. The lock is held.
func (c *Client) settle(f *http2.SettingsFrame) {
	if f.IsAck() {
		return
	}
	if v, ok := f.Value(http2.SettingMaxConcurrentStreams); ok {
		c.max = v
	}
	if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
		for id := range c.room {
			if id != 0 {
				c.room[id] += int64(v) - c.start
			}
		}
		c.start = int64(v)
	}
	_ = c.framer.WriteSettingsAck()
}

// endOf returns the end of a stream with these trailers.
func endOf(f *http2.MetaHeadersFrame) (end End) {
	for _, field := range f.Fields {
		switch field.Name {
		case "grpc-status":
			end.Status = field.Value
		case "grpc-message":
			end.Message = field.Value
		case "grpc-status-details-bin":
			end.Details = field.Value
		}
	}
	return end
}
