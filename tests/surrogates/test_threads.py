"""The number of threads of the models' linear algebra."""

from threadpoolctl import threadpool_limits

from evonas.surrogates.threads import one_thread


def test_a_function_keeps_to_one_thread_and_its_caller_does_not(blas_threads):
    with threadpool_limits(2):
        assert one_thread(blas_threads)() == {1}
        assert blas_threads() == {2}
