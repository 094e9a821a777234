import pytest

from workers.settings import Settings, SettingsInvalid, log_settings

GOOD = {"REDIS_URL": "redis://:hunter2-hunter2@localhost/0", "HITL_WEBHOOK_SECRETS": "whsec_0123456789abcdef"}


def problems(environ: dict[str, str], **needs: bool) -> list[str]:
    with pytest.raises(SettingsInvalid) as caught:
        Settings.from_env(environ, **needs)
    return caught.value.problems


def test_the_documented_defaults() -> None:
    settings = Settings.from_env(GOOD, receives=True)

    assert (settings.max_body, settings.retention_days, settings.lease_seconds) == (1 << 20, 30, 15.0)
    assert (settings.handler_concurrency, settings.handler_threads) == (50, 8)
    assert settings.base_url == "https://api.hitl.sh/v1"


def test_secrets_are_listed_oldest_to_newest() -> None:
    settings = Settings.from_env({**GOOD, "HITL_CALLBACK_SECRETS": "older-older-older-1, newer-newer-newer-2"})

    assert settings.callback_secrets == ("older-older-older-1", "newer-newer-newer-2")


@pytest.mark.parametrize(
    ("environ", "polled"),
    [
        ({}, ()),
        ({"HITL_API_KEY": "new"}, ("new",)),
        ({"HITL_API_KEYS": "old, new"}, ("old", "new")),
        ({"HITL_API_KEYS": "old,older", "HITL_API_KEY": "new"}, ("old", "older", "new")),
        ({"HITL_API_KEYS": "new,old,,old", "HITL_API_KEY": "new"}, ("old", "new")),
    ],
)
def test_the_last_api_key_or_the_one_named_alone_is_current(environ: dict[str, str], polled: tuple[str, ...]) -> None:
    settings = Settings.from_env({**GOOD, **environ})

    assert (settings.api_keys, settings.api_key) == (polled, polled[-1] if polled else None)


def test_secrets_do_not_show() -> None:
    settings = Settings.from_env({**GOOD, "HITL_API_KEY": "hitl_live_secret", "HITL_API_KEYS": "hitl_live_older"})

    assert "hunter2" not in repr(settings)
    assert "whsec" not in repr(settings)
    assert "hitl_live" not in repr(settings)


def test_all_invalid_settings_are_reported_at_once() -> None:
    messages = problems(
        {
            "REDIS_URL": "http://user:hunter2@localhost",
            "HITL_PUBLIC_URL": "hooks.example.com",
            "HITL_MAX_BODY": "a lot",
            "HITL_HANDLERS": "my-app/handlers.py",
            "HITL_LEASE_SECONDS": "nan",
            "HITL_CALLBACK_SECRETS": "short",
        },
        receives=True,
        handles=True,
    )

    assert [sentence.split()[0].split("=")[0].rstrip(":") for sentence in messages] == [
        "REDIS_URL", "HITL_CALLBACK_SECRETS", "HITL_PUBLIC_URL", "HITL_HANDLERS", "HITL_MAX_BODY", "HITL_LEASE_SECONDS",
    ]  # fmt: skip
    assert "hunter2" not in " ".join(messages)


def test_without_a_verifier_receiving_is_refused() -> None:
    [messages] = problems({"REDIS_URL": "redis://localhost"}, receives=True)

    assert "HITL_WEBHOOK_SECRETS and HITL_CALLBACK_SECRETS are both empty" in messages


def test_without_handlers_handling_is_refused() -> None:
    [messages] = problems({"REDIS_URL": "redis://localhost"}, handles=True)

    assert "HITL_HANDLERS=myapp.handlers" in messages


@pytest.mark.parametrize(
    "url", ["http://hooks.example.com", "http://10.0.0.7:8000", "http://[2001:db8::1]/x", "HTTP://A"]
)
def test_a_public_address_without_tls_is_refused(url: str) -> None:
    [messages] = problems({**GOOD, "HITL_PUBLIC_URL": url})

    assert messages.startswith("HITL_PUBLIC_URL is http:// with the host ")
    assert "https://" in messages
    assert "HITL_INSECURE=1 or the option --insecure" in messages


def test_a_refused_public_address_does_not_show_its_password() -> None:
    assert "hunter2" not in problems({**GOOD, "HITL_PUBLIC_URL": "http://me:hunter2@hooks.example.com"})[0]


@pytest.mark.parametrize(
    "url", ["http://localhost:8000", "http://127.0.0.1", "http://127.9.9.9", "http://[::1]:8000", "http://a.localhost"]
)
def test_a_public_address_on_this_machine_needs_no_tls(url: str) -> None:
    assert Settings.from_env({**GOOD, "HITL_PUBLIC_URL": url}).public_url == url


@pytest.mark.parametrize("host", ["127.0.0.1.example.com", "localhost.example.com", "0.0.0.0", "xlocalhost"])
def test_a_host_that_only_looks_local_is_not(host: str) -> None:
    assert problems({**GOOD, "HITL_PUBLIC_URL": f"http://{host}"})


def test_an_address_without_tls_can_be_accepted() -> None:
    environ = {**GOOD, "HITL_PUBLIC_URL": "http://hooks.example.com"}

    assert Settings.from_env({**environ, "HITL_INSECURE": "1"}).public_url == "http://hooks.example.com"
    assert problems({**environ, "HITL_INSECURE": "0"})


@pytest.mark.parametrize("url", ["redis://h/1", "rediss://h:6380", "unix:///run/redis.sock"])
def test_every_kind_of_redis_address_is_taken(url: str) -> None:
    assert Settings.from_env({"REDIS_URL": url}).redis_url == url


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("HITL_WEBHOOK_SECRET", "HITL_WEBHOOK_SECRETS"),
        ("HITL_CALLBACK_SECRET", "HITL_CALLBACK_SECRETS"),
        ("HITL_APIKEY", "HITL_API_KEY"),
        ("HITL_LOGLEVEL", "HITL_LOG_LEVEL"),
        ("HITL_HANDLER", "HITL_HANDLERS"),
    ],
)
def test_a_misspelled_name_is_reported_with_a_suggestion(name: str, meant: str) -> None:
    messages = problems({"REDIS_URL": "redis://localhost", name: "x" * 20}, receives=True, handles=True)

    assert f"{name} is no setting: did you mean {meant}?" in messages


@pytest.mark.parametrize(
    "environ",
    [{"HITL_API_KEY2": "x"}, {"HITL_HANDLERS_DIR": "x"}, {"HITL_REDIS_IS_CHECKED": "1"}, {"HITLWEBHOOK": "x"}],
)
def test_a_name_that_is_almost_that_of_a_setting_which_is_set_is_accepted(environ: dict[str, str]) -> None:
    assert Settings.from_env({**GOOD, "HITL_API_KEY": "a", **environ}).api_key == "a"


def test_an_error_states_the_allowed_range() -> None:
    assert problems({**GOOD, "HITL_MAX_BODY": "x"}) == [
        "HITL_MAX_BODY='x' must be a number of bytes from 1024 to 67108864"
    ]


def test_the_values_of_the_log_settings_are_checked_with_the_others() -> None:
    environ = {"HITL_LOG_LEVEL": "LOUD", "HITL_LOG_FORMAT": "xml"}

    with pytest.raises(SettingsInvalid) as raised:
        Settings.from_env(environ)

    assert len(raised.value.problems) == 3
    assert "HITL_LOG_LEVEL='LOUD': write one of INFO, DEBUG, WARNING, ERROR" in str(raised.value)
    assert "HITL_LOG_FORMAT='xml': write one of console, json" in str(raised.value)
    assert log_settings(environ) == ("INFO", "console")


def test_the_values_of_the_log_settings_may_have_any_case() -> None:
    settings = Settings.from_env({"REDIS_URL": "redis://x", "HITL_LOG_LEVEL": "debug", "HITL_LOG_FORMAT": "JSON"})

    assert (settings.log_level, settings.log_format) == ("DEBUG", "json")
