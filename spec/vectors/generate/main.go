// Command generate writes the test vectors of spec/vectors. See README.md.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	dir := ".."
	if len(os.Args) > 1 {
		dir = os.Args[1]
	}
	for _, f := range []struct {
		name string
		make func() M
	}{
		{"merkle", merkleVectors},
		{"inclusion", inclusionVectors},
		{"consistency", consistencyVectors},
		{"notes", noteVectors},
		{"vkeys", vkeyVectors},
		{"checkpoints", checkpointVectors},
		{"cosignatures", cosignatureVectors},
		{"witness", witnessVectors},
		{"policies", policyVectors},
		{"tile-paths", tilePathVectors},
		{"entry-bundles", entryBundleVectors},
		{"entries", entryVectors},
		{"disclosures", disclosureVectors},
		{"seals", sealVectors},
		{"chains", chainVectors},
		{"submissions", submissionVectors},
		{"tlog-proofs", tlogProofVectors},
		{"bundles", bundleVectors},
		{"log", logVectors},
	} {
		b := file(f.make())
		must(0, os.WriteFile(filepath.Join(dir, f.name+".json"), b, 0o644))
		fmt.Printf("%-20s %7d bytes\n", f.name+".json", len(b))
	}
}
