"""HTTP: one table of routes per door, an application that serves them, and the document that describes them."""
