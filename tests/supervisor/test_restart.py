from fairlead.supervisor.restart import RestartDelay


def test_grows_while_lives_are_short():
    delay = RestartDelay()
    assert [delay.after(0.5) for _ in range(9)] == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_starts_anew_after_a_long_life():
    delay = RestartDelay()
    for _ in range(5):
        delay.after(0.5)
    assert [delay.after(10.0), delay.after(1.0), delay.after(1.0)] == [0.0, 0.1, 0.2]
