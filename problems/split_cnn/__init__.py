"""Split convolutional networks: a supernet, cut between an edge device and a server."""
