"""The web portal: pages on the application that serves REST."""
