package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpoint "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listener "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	router "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	manager "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// fleet is the content of the file that lists the servers.
type fleet struct {
	// Topic is also the name that clients resolve: xds:///TOPIC.
	Topic   string `json:"topic"`
	Servers []struct {
		Name    string `json:"name"`
		Address string `json:"address"`
		// Major is the major version that the server implements.
		Major int `json:"major"`
		// Weight is the server's share of the messages for any server.
		Weight uint32 `json:"weight"`
	} `json:"servers"`
}

func parse(text []byte) (*fleet, error) {
	f := &fleet{}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(f); err != nil {
		return nil, err
	}
	if f.Topic == "" || len(f.Servers) == 0 {
		return nil, errors.New("it needs a topic and servers")
	}
	return f, nil
}

// snapshot returns the configuration for the clients: a cluster for each server, and the routes.
func (f *fleet) snapshot(version int) (*cache.Snapshot, error) {
	var clusters, endpoints []types.Resource
	for _, s := range f.Servers {
		address, err := netip.ParseAddrPort(s.Address)
		if err != nil {
			return nil, fmt.Errorf("the address of server %q: %w", s.Name, err)
		}
		clusters = append(clusters, &cluster.Cluster{
			Name:                 s.Name,
			ClusterDiscoveryType: &cluster.Cluster_Type{Type: cluster.Cluster_EDS},
			EdsClusterConfig:     &cluster.Cluster_EdsClusterConfig{EdsConfig: aggregated()},
		})
		endpoints = append(endpoints, load(s.Name, address))
	}
	face, err := f.listener()
	if err != nil {
		return nil, err
	}
	return cache.NewSnapshot(strconv.Itoa(version), map[resource.Type][]types.Resource{
		resource.ListenerType: {face},
		resource.RouteType:    {&route.RouteConfiguration{Name: f.Topic, VirtualHosts: []*route.VirtualHost{{Name: f.Topic, Domains: []string{"*"}, Routes: f.routes()}}}},
		resource.ClusterType:  clusters,
		resource.EndpointType: endpoints,
	})
}

// routes returns the routes, in the order in which clients match them. The first routes match
// messages that name a server, as fanouts do, too. The next routes match the major version of a
// message, and choose among its servers by weight. Requests without a header, such as health
// checks, go to any server.
func (f *fleet) routes() []*route.Route {
	var list []*route.Route
	shares := map[int][]*route.WeightedCluster_ClusterWeight{}
	var all []*route.WeightedCluster_ClusterWeight
	for _, s := range f.Servers {
		pin := &route.RouteAction{ClusterSpecifier: &route.RouteAction_Cluster{Cluster: s.Name}}
		list = append(list, to(pin, exact("oslorpc-topic", f.Topic), exact("oslorpc-server", s.Name)))
		if s.Weight > 0 {
			share := &route.WeightedCluster_ClusterWeight{Name: s.Name, Weight: wrapperspb.UInt32(s.Weight)}
			shares[s.Major], all = append(shares[s.Major], share), append(all, share)
		}
	}
	for major, some := range shares {
		of := matching("oslorpc-version", &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Prefix{Prefix: strconv.Itoa(major) + "."}})
		list = append(list, to(among(some), exact("oslorpc-topic", f.Topic), absent("oslorpc-server"), of))
	}
	return append(list, to(among(all), absent("oslorpc-topic")))
}

func exact(header, value string) *route.HeaderMatcher {
	return matching(header, &matcher.StringMatcher{MatchPattern: &matcher.StringMatcher_Exact{Exact: value}})
}

func matching(header string, text *matcher.StringMatcher) *route.HeaderMatcher {
	return &route.HeaderMatcher{Name: header, HeaderMatchSpecifier: &route.HeaderMatcher_StringMatch{StringMatch: text}}
}

func absent(header string) *route.HeaderMatcher {
	return &route.HeaderMatcher{Name: header, HeaderMatchSpecifier: &route.HeaderMatcher_PresentMatch{PresentMatch: false}}
}

func among(some []*route.WeightedCluster_ClusterWeight) *route.RouteAction {
	return &route.RouteAction{ClusterSpecifier: &route.RouteAction_WeightedClusters{WeightedClusters: &route.WeightedCluster{Clusters: some}}}
}

// to returns a route to a cluster. It sets no timeout: each message has its own deadline, and a
// method may run for a long time without sending anything.
func to(action *route.RouteAction, headers ...*route.HeaderMatcher) *route.Route {
	action.MaxStreamDuration = &route.RouteAction_MaxStreamDuration{MaxStreamDuration: durationpb.New(0)}
	return &route.Route{
		Match:  &route.RouteMatch{PathSpecifier: &route.RouteMatch_Prefix{Prefix: ""}, Headers: headers},
		Action: &route.Route_Route{Route: action},
	}
}

// listener is the resource that clients request by name. It says where the routes come from.
func (f *fleet) listener() (*listener.Listener, error) {
	routes, err := packed(&router.Router{})
	if err != nil {
		return nil, err
	}
	api, err := packed(&manager.HttpConnectionManager{
		RouteSpecifier: &manager.HttpConnectionManager_Rds{Rds: &manager.Rds{ConfigSource: aggregated(), RouteConfigName: f.Topic}},
		HttpFilters:    []*manager.HttpFilter{{Name: "router", ConfigType: &manager.HttpFilter_TypedConfig{TypedConfig: routes}}},
	})
	if err != nil {
		return nil, err
	}
	return &listener.Listener{Name: f.Topic, ApiListener: &listener.ApiListener{ApiListener: api}}, nil
}

func load(name string, address netip.AddrPort) *endpoint.ClusterLoadAssignment {
	at := &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
		Address: address.Addr().String(), PortSpecifier: &core.SocketAddress_PortValue{PortValue: uint32(address.Port())},
	}}}
	return &endpoint.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpoint.LocalityLbEndpoints{{
		Locality: &core.Locality{Zone: "here"}, LoadBalancingWeight: wrapperspb.UInt32(1),
		LbEndpoints: []*endpoint.LbEndpoint{{HostIdentifier: &endpoint.LbEndpoint_Endpoint{Endpoint: &endpoint.Endpoint{Address: at}}}},
	}}}
}

// aggregated tells clients to request a resource on the stream that they already have (ADS).
func aggregated() *core.ConfigSource {
	return &core.ConfigSource{ResourceApiVersion: core.ApiVersion_V3, ConfigSourceSpecifier: &core.ConfigSource_Ads{Ads: &core.AggregatedConfigSource{}}}
}

func packed(m proto.Message) (*anypb.Any, error) { return anypb.New(m) }
