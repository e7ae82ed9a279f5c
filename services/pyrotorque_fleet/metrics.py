"""The metrics of the fleet process, which the exporter serves as group `fleet`."""

from pyrotorque.totals import Totals


class FleetMetrics:
    """Absolute totals; `totals` is published to the exporter."""

    def __init__(self, totals: Totals) -> None:
        self.totals = totals
        self.up = totals.gauge("pyrotorque_fleet_up", "1 while this group is connected to the fleet's NATS servers.")
        self.groups = totals.gauge(
            "pyrotorque_fleet_groups", "Groups of the fleet that this group knows, itself included.", ("state",)
        )
        self.forwarded = totals.counter(
            "pyrotorque_fleet_events_forwarded_total", "Events of this group that were stored in the fleet's stream."
        )
        self.waiting = totals.gauge(
            "pyrotorque_fleet_events_waiting", "Events of this group that are not yet in the fleet's stream."
        )
        self.placed = totals.counter(
            "pyrotorque_fleet_placed_total", "Metafiles of the fleet that this group was given and released."
        )
        self.claims = totals.gauge("pyrotorque_fleet_claims", "Claims of the fleet that this group knows.", ("state",))
        self.bad_values = totals.counter(
            "pyrotorque_fleet_bad_values_total", "Values of other groups that were ignored because they are not valid."
        )
        self.up.set(0)
        self.waiting.set(0)
        self.forwarded.inc(by=0)
        self.bad_values.inc(by=0)
        self.placed.inc(by=0)
