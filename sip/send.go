package sip

import (
	"context"
	"fmt"
	"net"

	gosip "github.com/emiago/sipgo/sip"
)

// Settle waits until the BYEs and CANCELs under way are answered, or ctx ends.
// Call it between hanging up the last leg and Close.
func (s *Stack) Settle(ctx context.Context) {
	s.mu.Lock()
	if s.sending == 0 {
		s.mu.Unlock()
		return
	}
	if s.settled == nil {
		s.settled = make(chan struct{})
	}
	settled := s.settled
	s.mu.Unlock()
	select {
	case <-settled:
	case <-ctx.Done():
	}
}

// count changes the number of requests that Settle waits for.
func (s *Stack) count(d int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sending += d; s.sending == 0 && s.settled != nil {
		close(s.settled)
		s.settled = nil
	}
}

// transact hands a request to sipgo. After Close it refuses: sipgo would open a
// socket of its own for it that nobody closes.
func (s *Stack) transact(ctx context.Context, req *gosip.Request) (*gosip.ClientTx, error) {
	if err := s.connect(ctx, req); err != nil {
		return nil, err
	}
	s.flood.expect(req.Destination())
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.isClosed() {
		return nil, net.ErrClosed
	}
	return s.uaFor(req).TransactionLayer().Request(ctx, req)
}

// write sends a request that has no transaction of its own: the ACK to a 2xx.
func (s *Stack) write(req *gosip.Request) error {
	ctx, cancel := context.WithTimeout(s.streams.life, connectWithin)
	defer cancel()
	if err := s.connect(ctx, req); err != nil {
		return err
	}
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.isClosed() {
		return net.ErrClosed
	}
	return s.uaFor(req).TransportLayer().WriteMsg(req)
}

// background sends a request and forgets its answer.
func (s *Stack) background(req *gosip.Request) {
	s.inBackground(req, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		_, err := s.send(ctx, req)
		return err
	})
}

// inBackground has send send the request; Settle waits for it.
func (s *Stack) inBackground(req *gosip.Request, send func() error) {
	s.count(1)
	ok := s.spawn(func() {
		defer s.count(-1)
		if err := send(); err != nil {
			s.log.Debug("request not answered", "method", req.Method, "sip_call_id", req.CallID().Value(), "error", err)
		}
	})
	if !ok {
		s.count(-1)
	}
}

// spawn runs f on a goroutine that Close waits for; false once the stack is
// closed, then f doesn't run.
func (s *Stack) spawn(f func()) bool {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.isClosed() {
		return false
	}
	s.wg.Go(f)
	return true
}

// send runs one client transaction to its final answer. It returns nil and an
// error when none came before ctx or Timer B or F ended it.
func (s *Stack) send(ctx context.Context, req *gosip.Request) (*gosip.Response, error) {
	tx, err := s.transact(ctx, req)
	if err != nil {
		s.obs.ClientRequest(string(req.Method), 0)
		return nil, fmt.Errorf("send %s: %w", req.Method, err)
	}
	if req.IsInvite() {
		// It stays for a repeated 2xx until Timer M.
		tx.OnRetransmission(s.strayResponse)
	} else {
		defer tx.Terminate()
	}
	for {
		select {
		case res := <-tx.Responses():
			if res.IsProvisional() {
				continue
			}
			s.obs.ClientRequest(string(req.Method), res.StatusCode)
			if req.IsInvite() && !res.IsSuccess() {
				s.forgetRefused(req, res, tx)
			}
			return res, nil
		case <-tx.Done():
			s.obs.ClientRequest(string(req.Method), 0)
			return nil, fmt.Errorf("send %s: %w", req.Method, tx.Err())
		case <-ctx.Done():
			tx.Terminate()
			s.obs.ClientRequest(string(req.Method), 0)
			return nil, fmt.Errorf("send %s: %w", req.Method, ctx.Err())
		case <-s.closed:
			return nil, fmt.Errorf("send %s: %w", req.Method, net.ErrClosed)
		}
	}
}
