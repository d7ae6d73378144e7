"""Who could serve this request, and in which order to ask. Pure."""
