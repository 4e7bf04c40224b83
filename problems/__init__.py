"""Problems that come with EvoNAS."""
