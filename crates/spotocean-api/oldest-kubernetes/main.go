// Reads CustomResourceDefinitions and says whether the apiserver of the Kubernetes release that this module
// pins would accept them: defaults, structural schema, CEL rules with their cost.
package main

import (
	"context"
	"fmt"
	"os"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
)

func main() {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	decoder := serializer.NewCodecFactory(scheme).UniversalDecoder(apiextensions.SchemeGroupVersion)
	refused := false
	for _, path := range os.Args[1:] {
		if err := check(decoder, path); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			refused = true
		}
	}
	if refused {
		os.Exit(1)
	}
}

func check(decoder runtime.Decoder, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	object, _, err := decoder.Decode(text, nil, nil)
	if err != nil {
		return err
	}
	definition, ok := object.(*apiextensions.CustomResourceDefinition)
	if !ok {
		return fmt.Errorf("is a %T, not a CustomResourceDefinition", object)
	}
	// The registry strategy fills this in before it validates.
	for _, version := range definition.Spec.Versions {
		if version.Storage {
			definition.Status.StoredVersions = []string{version.Name}
		}
	}
	return validation.ValidateCustomResourceDefinition(context.Background(), definition).ToAggregate()
}
