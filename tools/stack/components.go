package main

import (
	bindinghttp "github.com/dapr/components-contrib/bindings/http"
	"github.com/dapr/components-contrib/bindings/localstorage"
	"github.com/dapr/components-contrib/nameresolution/mdns"
	pubsubinmemory "github.com/dapr/components-contrib/pubsub/in-memory"
	pubsubredis "github.com/dapr/components-contrib/pubsub/redis"
	stateinmemory "github.com/dapr/components-contrib/state/in-memory"
	postgresv1 "github.com/dapr/components-contrib/state/postgresql/v1"
	postgresv2 "github.com/dapr/components-contrib/state/postgresql/v2"
	stateredis "github.com/dapr/components-contrib/state/redis"
	"github.com/dapr/components-contrib/state/sqlite"
	"github.com/dapr/dapr/pkg/components"
	"github.com/dapr/dapr/pkg/components/bindings"
	"github.com/dapr/dapr/pkg/components/configuration"
	"github.com/dapr/dapr/pkg/components/conversation"
	"github.com/dapr/dapr/pkg/components/crypto"
	"github.com/dapr/dapr/pkg/components/lock"
	middleware "github.com/dapr/dapr/pkg/components/middleware/http"
	"github.com/dapr/dapr/pkg/components/nameresolution"
	"github.com/dapr/dapr/pkg/components/pubsub"
	"github.com/dapr/dapr/pkg/components/secretstores"
	"github.com/dapr/dapr/pkg/components/state"
	"github.com/dapr/dapr/pkg/runtime/registry"
	"github.com/dapr/kit/logger"

	"github.com/longrun-dev/longrun/tools/stack/broker"
)

// componentRegistry holds the components that the sets in components/ use, and
// no others: all of Dapr's would take many minutes to build. Names and versions
// are Dapr's own, so that the same YAML loads in a released sidecar; the only one
// that differs inside is JetStream.
func componentRegistry(log logger.Logger) *registry.Options {
	states := state.NewRegistry()
	states.Logger = log
	states.RegisterComponent(sqlite.NewSQLiteStateStore, "sqlite", "sqlite3")
	states.RegisterComponent(stateredis.NewRedisStateStore, "redis")
	states.RegisterComponent(stateinmemory.NewInMemoryStateStore, "in-memory")
	for _, name := range []string{"postgresql", "postgres"} {
		states.RegisterComponentWithVersions(name, components.Versioning{
			Preferred: components.VersionConstructor{Version: "v2", Constructor: postgresv2.NewPostgreSQLStateStore},
			Others:    []components.VersionConstructor{{Version: "v1", Constructor: postgresv1.NewPostgreSQLStateStore}},
			Default:   "v1",
		})
	}

	pubsubs := pubsub.NewRegistry()
	pubsubs.Logger = log
	pubsubs.RegisterComponent(broker.NewJetStream, "jetstream")
	pubsubs.RegisterComponent(pubsubredis.NewRedisStreams, "redis")
	pubsubs.RegisterComponent(pubsubinmemory.New, "in-memory")

	outputs := bindings.NewRegistry()
	outputs.Logger = log
	outputs.RegisterOutputBinding(bindinghttp.NewHTTP, "http")
	outputs.RegisterOutputBinding(localstorage.NewLocalStorage, "localstorage")

	resolvers := nameresolution.NewRegistry()
	resolvers.Logger = log
	resolvers.RegisterComponent(mdns.NewResolver, "mdns")

	return registry.NewOptions().
		WithStateStores(states).
		WithPubSubs(pubsubs).
		WithBindings(outputs).
		WithNameResolutions(resolvers).
		WithSecretStores(secretstores.NewRegistry()).
		WithConfigurations(configuration.NewRegistry()).
		WithLocks(lock.NewRegistry()).
		WithCryptoProviders(crypto.NewRegistry()).
		WithHTTPMiddlewares(middleware.NewRegistry()).
		WithConversations(conversation.NewRegistry())
}
