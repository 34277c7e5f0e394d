"""Properties are tried on files of a folder that all tries share, however slow the machine is."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "files", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("files")
