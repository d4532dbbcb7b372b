//! Given pods, nodes and offerings: placements, nodes to buy, and why not.
