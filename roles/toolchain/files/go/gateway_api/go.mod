module local/gateway_api

go 1.26.8

// Its data is taken, and nothing is compiled. It is the version that Istio is built with.
require sigs.k8s.io/gateway-api v1.6.0
