"""Deployments: files that describe one, and the same processes started by hand."""
