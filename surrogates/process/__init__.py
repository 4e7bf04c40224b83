"""Gaussian-process regression on feature views of designs.

Notation. Equations are those of Rasmussen and Williams, "Gaussian Processes for Machine Learning"
(2006). Scores are standardised, so that variances have no unit::

    symbol   meaning                                          shape     in the code
    n, m     rows that are fitted to, and predicted
    V        feature views, side by side in the columns
    X        features, centred and scaled by column           (n, d)    rows
    X_v      the columns of one view                          (n, d_v)  view
    A_v      map of the tied blocks of a view                 (b, b)    maps, entries
    y        scores with mean 0 and deviation 1               (n,)      targets
    l_v      length scale of a view                           scalar    length
    s_v^2    signal variance: of the Matern term, eq. 4.17    scalar    signal
    w_v^2    linear variance: of the linear term, sec. 4.2.2  scalar    linear
    sigma^2  noise variance                                   scalar    noise
    g        noise scale: factor of a row on sigma^2          (n,)      noise_scale
    K        sum over views of both terms                     (n, n)    covariance
    L        Cholesky factor of K + sigma^2 diag(g), alg. 2.1 (n, n)    factor
    alpha    (K + sigma^2 diag(g))^-1 y                       (n,)      weights
    log p    log marginal likelihood of y, eq. 2.30           scalar    evidence

Predictions are eq. 2.25 and 2.26, gradients eq. 5.9, leave-one-out predictions eq. 5.10 to 5.12.
"""
