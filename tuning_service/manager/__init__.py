"""The use cases: what a principal may ask of the service, and what a runner may."""
