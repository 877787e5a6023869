"""A trained model and cells to ask it about, for the tests of a posterior."""

import pytest
from posteriors import simulated, some_cells, trained_vae

import vae_course as vc


@pytest.fixture(scope="session")
def data() -> vc.CountData:
    return simulated()


@pytest.fixture(scope="session")
def model(data) -> vc.VAE:
    return trained_vae(data)


@pytest.fixture
def cells(model, data) -> vc.Posterior:
    return some_cells(model, data)
