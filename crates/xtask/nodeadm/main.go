// Reads an instance's user data with nodeadm's own packages, as the `nodeadm init` of a booting instance does
// up to the point where it would start daemons: fetch from the metadata service, take the MIME document apart,
// decode, merge, validate. Prints the merged NodeConfig as JSON, by nodeadm's Go types: a misspelt field, which
// nodeadm ignores, is missing there. The kubelet's own settings are decoded strictly, which nodeadm leaves to the kubelet.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/awslabs/amazon-eks-ami/nodeadm/cmd/nodeadm/config"
	"github.com/awslabs/amazon-eks-ami/nodeadm/internal/api"
	"github.com/awslabs/amazon-eks-ami/nodeadm/internal/cli"
	"github.com/awslabs/amazon-eks-ami/nodeadm/internal/configprovider"
	"k8s.io/apimachinery/pkg/util/yaml"
	kubelet "k8s.io/kubelet/config/v1beta1"
)

// Where nodeadm reads by default on an instance; AWS_EC2_METADATA_SERVICE_ENDPOINT says where that is.
const source = "imds://user-data"

func main() {
	if err := read(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read() error {
	options := cli.GlobalOptions{ConfigSource: source}
	// `nodeadm config check`.
	if err := config.NewCheckCommand().Run(cli.NewLogger(&options), &options); err != nil {
		return err
	}
	provider, err := configprovider.BuildConfigProvider(source)
	if err != nil {
		return err
	}
	merged, err := provider.Provide()
	if err != nil {
		return err
	}
	if err := api.ValidateNodeConfig(merged); err != nil {
		return err
	}
	if err := kubeletTakes(merged.Spec.Kubelet.Config); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(merged)
}

func kubeletTakes(document api.InlineDocument) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	if err := yaml.UnmarshalStrict(text, &kubelet.KubeletConfiguration{}); err != nil {
		return fmt.Errorf("the kubelet would not read its configuration: %w", err)
	}
	return nil
}
