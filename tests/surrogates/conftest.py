import pytest
from threadpoolctl import threadpool_info


@pytest.fixture
def blas_threads():
    """A function that gives how many threads each loaded library for linear algebra takes."""
    return lambda: {i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"}
