"""Makes calls with Nova's own ComputeAPI: python nova_caller.py CONFIG HOST UUID.

It prints the outcome of each call.
"""

import json
import sys
import uuid as uuidlib

from nova import monkey_patch

monkey_patch.patch("threading")

from nova import config, context, exception, objects  # noqa: E402
from nova.compute import rpcapi  # noqa: E402


def failure(call):
    try:
        call()
    except exception.InstanceNotFound as e:
        return [type(e).__name__, e.kwargs["instance_id"], e.oslorpc_hops]


def main():
    path, host, uuid = sys.argv[1:]
    config.parse_args(["nova", "--config-file", path])
    objects.register_all()
    api = rpcapi.ComputeAPI()
    ctxt = context.RequestContext(user_id="u", project_id="p", is_admin=True)
    flavor = objects.Flavor(name="m1.tiny", vcpus=1, memory_mb=512)
    instance = objects.Instance(
        uuid=uuid, display_name="vm", host=host, vm_state="active", task_state=None, image_ref="cirros", flavor=flavor
    )
    gone = objects.Instance(uuid=str(uuidlib.uuid4()), host=host)
    results = {
        "uptime": api.get_host_uptime(ctxt, host),
        "enabled": api.set_host_enabled(ctxt, host, True),
        "console": api.get_console_output(ctxt, instance, tail_length=1),
        "gone": failure(lambda: api.get_console_output(ctxt, gone, tail_length=1)),
        "uuid": gone.uuid,
    }
    api.reboot_instance(ctxt, instance, block_device_info=None, reboot_type="HARD")
    print("results", json.dumps(results), flush=True)


main()
