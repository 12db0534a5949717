"""The shapes of a service's errors, found in its model without making all its other shapes."""

from __future__ import annotations

from typing import Any


def use_modeled_errors(client: Any) -> None:
    """Set the list of error shapes of a client's service model, which botocore caches there.

    botocore makes an object for each of the model's shapes (EC2 has 4,000) to find those of errors,
    at the first error of each client: a tenth of a second in a fresh create, in which dry runs are
    answered by errors (botocore/model.py, ServiceModel.error_shapes). A botocore that keeps its
    models under another name finds them itself.
    """
    model = client.meta.service_model
    if "error_shapes" in model.__dict__:
        return
    shapes = getattr(model, "_service_description", {}).get("shapes", {})
    if not shapes:
        return
    names = [name for name, shape in shapes.items() if shape.get("exception")]
    model.__dict__["error_shapes"] = [model.shape_for(name) for name in names]
