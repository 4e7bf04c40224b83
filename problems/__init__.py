"""What can be searched: problems that come with EvoNAS. They import ``evonas`` only."""
