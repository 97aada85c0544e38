// The Databricks SDK for Go, asked for tokens of a machine and of a person. What it gets it prints, one JSON value a line; where
// it would open a browser it prints the address.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"github.com/databricks/databricks-sdk-go/config"
	"github.com/databricks/databricks-sdk-go/credentials/u2m"
	"github.com/databricks/databricks-sdk-go/credentials/u2m/cache"
)

func main() {
	var err error
	switch os.Args[1] {
	case "machine":
		err = machine(os.Args[2], os.Args[3], os.Args[4], os.Args[5:]...)
	case "workspace":
		var argument u2m.OAuthArgument
		if argument, err = u2m.NewBasicWorkspaceOAuthArgument(os.Args[2]); err == nil {
			err = person(argument)
		}
	case "account":
		var argument u2m.OAuthArgument
		if argument, err = u2m.NewBasicAccountOAuthArgument(os.Args[2], os.Args[3]); err == nil {
			err = person(argument)
		}
	default:
		err = fmt.Errorf("what is %q?", os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func show(name, value string) {
	_ = json.NewEncoder(os.Stdout).Encode(map[string]string{name: value})
}

func machine(host, id, secret string, discovery ...string) error {
	settings := &config.Config{Host: host, ClientID: id, ClientSecret: secret, AuthType: "oauth-m2m"}
	if len(discovery) > 0 {
		settings.DiscoveryURL = discovery[0]
	}
	request, err := http.NewRequest("GET", host, nil)
	if err != nil {
		return err
	}
	if err := settings.Authenticate(request); err != nil {
		return err
	}
	show("authorization", request.Header.Get("Authorization"))
	return nil
}

func person(argument u2m.OAuthArgument) error {
	tokens := cache.NewInMemoryTokenCache()
	auth, err := u2m.NewPersistentAuth(
		context.Background(),
		u2m.WithOAuthArgument(argument),
		u2m.WithTokenCache(tokens),
		u2m.WithBrowser(func(url string) error {
			show("browser", url)
			return nil
		}),
	)
	if err != nil {
		return err
	}
	defer auth.Close()
	if err := auth.Challenge(); err != nil {
		return err
	}
	token, err := auth.Token()
	if err != nil {
		return err
	}
	show("token", token.AccessToken)
	for i := 0; i < 2; i++ {
		if token, err = auth.ForceRefreshToken(); err != nil {
			return err
		}
		show("refreshed", token.AccessToken)
	}
	return nil
}
