// Copyright (c) 2026, the trustmesh.spiffe authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command cert-manager-controller runs the controllers of cert-manager that certify from a CA in a Secret, or a key by itself.
//
// cert-manager's own command is a module of its own, and needs those of clouds and of ACME. Its controllers are packages of
// the module that has the versions. The flags are those of that command, so the same arguments are good for both.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	"github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	"github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
)

// What each controller works on at the same time, as in cert-manager's own command.
const workers = 5

var all = []string{
	issuers.ControllerName,
	clusterissuers.ControllerName,
	approver.ControllerName,
	ca.CRControllerName,
	selfsigned.CRControllerName,
	trigger.ControllerName,
	issuing.ControllerName,
	keymanager.ControllerName,
	requestmanager.ControllerName,
	readiness.ControllerName,
	revisionmanager.ControllerName,
}

type options struct {
	namespace   string
	health      string
	owned       bool
	controllers []string
}

func read() (options, error) {
	namespace := flag.String("cluster-resource-namespace", "cert-manager", "where the Secrets of ClusterIssuers are")
	health := flag.String("healthz-listen-address", ":9403", "where /livez answers when it works")
	wanted := flag.String("controllers", strings.Join(all, ","), "which controllers run")
	owned := flag.Bool("enable-certificate-owner-ref", false, "whether a Secret goes with its Certificate")
	elect := flag.Bool("leader-elect", false, "there is one, so nobody is elected")
	flag.Parse()
	found := options{namespace: *namespace, health: *health, owned: *owned, controllers: strings.Split(*wanted, ",")}
	if *elect {
		return found, errors.New("no leader is elected here: run one")
	}
	for _, name := range found.controllers {
		if !slices.Contains(all, name) {
			return found, fmt.Errorf("there is no controller %q here, there are %s", name, strings.Join(all, ", "))
		}
	}
	return found, nil
}

func run(ctx context.Context, wanted options) error {
	factory, err := controller.NewContextFactory(ctx, controller.ContextOptions{
		KubernetesAPIQPS:   20,
		KubernetesAPIBurst: 50,
		IssuerOptions:      controller.IssuerOptions{ClusterResourceNamespace: wanted.namespace},
		CertificateOptions: controller.CertificateOptions{
			EnableOwnerRef: wanted.owned,
			// What kubectl keeps in an annotation of a Certificate is not for its Secret and its requests.
			CopiedAnnotationPrefixes:                 []string{"*", "-kubectl.kubernetes.io/"},
			CertificateRequestMinimumBackoffDuration: time.Hour,
			CertificateRequestMaximumBackoffDuration: 32 * time.Hour,
		},
	})
	if err != nil {
		return err
	}
	shared, err := factory.Build()
	if err != nil {
		return err
	}
	// The first that fails ends all of them, and Kubernetes starts them again.
	ctx, end := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer end(nil)
	for _, name := range wanted.controllers {
		one, err := controller.Known()[name](factory)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		running.Go(func() {
			if err := one.Run(workers, ctx); err != nil {
				end(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	shared.SharedInformerFactory.WaitForCacheSync(ctx.Done())
	shared.KubeSharedInformerFactory.WaitForCacheSync(ctx.Done())
	server := healthy(wanted.health)
	running.Go(func() {
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			end(err)
		}
	})
	<-ctx.Done()
	_ = server.Close()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// healthy answers from when everything that is watched has been read: before that nothing would be certified.
func healthy(address string) *http.Server {
	answers := http.NewServeMux()
	answers.HandleFunc("GET /livez", func(answer http.ResponseWriter, _ *http.Request) { _, _ = answer.Write([]byte("ok\n")) })
	return &http.Server{Addr: address, Handler: answers, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second}
}

func main() {
	wanted, err := read()
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log.Printf("running %s", strings.Join(wanted.controllers, ", "))
	if err := run(ctx, wanted); err != nil {
		log.Fatal(err)
	}
}
