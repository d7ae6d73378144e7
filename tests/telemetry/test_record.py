from fairlead.telemetry.record import AttemptRecord, ExchangeRecord


def test_records_share_nothing():
    one, other = (ExchangeRecord(id=f"gen-{n}", request_id="r", started_unix=1.0, started_at=2.0) for n in range(2))
    one.attempts.append(AttemptRecord("acme", "ok", 200, 0.1))
    assert other.attempts == []


def test_a_new_record_claims_nothing():
    record = ExchangeRecord("gen-1", "r", 1.0, 2.0)
    assert (record.status, record.end, record.usage, record.cost_usd_nanos) == (0, "", None, None)
    assert not hasattr(record, "__dict__")
