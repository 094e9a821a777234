"""Every rule, and their evaluation."""

from redis import Redis
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from workers.alarms.alarm import Alarm, AlarmRule, Problem, alarm, raised
from workers.alarms.reading import AlarmReading, read
from workers.alarms.rules import delivery_rules, process_rules, reconcile_rules, redis_rules
from workers.settings import Settings

_BY_TOPIC = (*redis_rules.RULES, *process_rules.RULES, *delivery_rules.RULES, *reconcile_rules.RULES)
#: Critical rules first; within a severity, causes before consequences.
RULES: tuple[AlarmRule, ...] = tuple(sorted(_BY_TOPIC, key=lambda rule: rule.severity))
BY_NAME = {rule.name: rule for rule in RULES}
REDIS_UNREACHABLE = "redis_unreachable"


def evaluate(reading: AlarmReading) -> list[Alarm]:
    """The raised alarms, most urgent first."""
    alarms = (raised(rule, reading) for rule in RULES)
    return [one for one in alarms if one is not None]


def unreachable(error: RedisError) -> Alarm:
    """The alarm if Redis cannot be read. Reading the call budget also writes."""
    if isinstance(error, ReadOnlyError):
        return alarm(BY_NAME["redis_read_only"], Problem(redis_rules.READ_ONLY))
    if isinstance(error, ResponseError):
        return alarm(BY_NAME["redis_refuses_writes"], redis_rules.failed("refuses a command", error))
    return alarm(BY_NAME[REDIS_UNREACHABLE], redis_rules.failed("does not answer", error))


def check(settings: Settings, redis: Redis) -> list[Alarm]:
    """Read and evaluate; if Redis cannot be read, that is the only alarm."""
    try:
        reading = read(settings, redis)
    except RedisError as error:
        return [unreachable(error)]
    return evaluate(reading)
