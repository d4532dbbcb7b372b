//! Observes, asks the planner, acts: caches, lease, metrics, health.
