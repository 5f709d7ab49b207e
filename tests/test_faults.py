import pytest

from durable_core.service.faults import NO_FAULTS, Fault, FaultKind, Faults, every_crash


def test_a_fault_is_found_at_its_checkpoint_and_nowhere_else():
    fault = Fault(FaultKind.CRASH_AFTER, invocation=2, checkpoint=3)
    faults = Faults((fault,))

    assert faults.at(2, 3) is fault
    assert faults.at(2, 2) is None
    assert faults.at(1, 3) is None


def test_of_two_faults_at_one_checkpoint_the_first_stands():
    first = Fault(FaultKind.LOST_RESPONSE, 1, 1)
    faults = Faults((first, Fault(FaultKind.THROTTLE, 1, 1, times=2)))

    assert faults.at(1, 1) is first


def test_no_faults_are_false():
    assert not NO_FAULTS
    assert Faults((Fault(FaultKind.THROTTLE, 1, 1),))


@pytest.mark.parametrize("name", ["invocation", "checkpoint", "times"])
def test_faults_count_from_one(name):
    numbers = {"invocation": 1, "checkpoint": 1, "times": 1, name: 0}

    with pytest.raises(ValueError, match=name):
        Fault(FaultKind.THROTTLE, **numbers)


def test_faults_with_the_same_faults_are_equal():
    fault = Fault(FaultKind.CRASH_BEFORE, 1, 1)

    assert Faults((fault,)) == Faults((fault,))


def test_every_checkpoint_of_a_clean_run_gives_a_crash_before_and_one_after_it():
    points = [faults.faults for faults in every_crash([2, 0, 1])]

    assert points == [
        (Fault(FaultKind.CRASH_BEFORE, 1, 1),),
        (Fault(FaultKind.CRASH_AFTER, 1, 1),),
        (Fault(FaultKind.CRASH_BEFORE, 1, 2),),
        (Fault(FaultKind.CRASH_AFTER, 1, 2),),
        (Fault(FaultKind.CRASH_BEFORE, 3, 1),),
        (Fault(FaultKind.CRASH_AFTER, 3, 1),),
    ]
