package main

import (
	"context"
	"log"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	scheduler "github.com/dapr/dapr/cmd/scheduler/app"
	"github.com/dapr/dapr/cmd/scheduler/options"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// leaders is where the scheduler's cron keeps who may run jobs.
const leaders = "dapr/leadership/"

// runScheduler is Dapr's scheduler, which is alone here and says so after it was
// killed. Otherwise it would wait 20 s for the lease of its dead self, and no
// reminder and no workflow would move meanwhile.
func runScheduler() {
	opts, err := options.New(os.Args[1:])
	if err != nil {
		log.Fatal(err)
	}
	if err := os.MkdirAll(opts.EtcdDataDir, 0o700); err != nil {
		log.Fatal(err)
	}
	running := filepath.Join(opts.EtcdDataDir, "running")
	_, err = os.Stat(running)
	killed := err == nil
	if err := os.WriteFile(running, nil, 0o600); err != nil {
		log.Fatal(err)
	}
	if killed {
		go func() {
			if err := forgetLeader(net.JoinHostPort("127.0.0.1", strconv.Itoa(int(opts.EtcdClientPort)))); err != nil {
				log.Printf("warning: jobs start in 20 s: %v", err)
			}
		}()
	}
	scheduler.Run()
	_ = os.Remove(running)
}

// forgetLeader removes the claim that a killed scheduler has left. The new one
// cannot have claimed anything yet, because it waits for that claim to go.
func forgetLeader(etcd string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	client, err := clientv3.New(clientv3.Config{
		Context:   ctx,
		Endpoints: []string{etcd},
	})
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	for {
		if _, err = client.Delete(ctx, leaders, clientv3.WithPrefix()); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}
