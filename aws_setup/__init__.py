"""λFS on AWS: what the three scripts share.

The packages, lowest first:

errors          expected errors: what failed, why, and how to fix it
config          the configuration: YAML file, environment and flags -> a frozen Config
engine          steps, plan, runner, results, waits, retries, event log, receipt; knows no AWS
aws             the only importer of boto3: session, errors, inventory, tags, prices
kube            the only importer of kubernetes: client, errors, EKS tokens
ssh             the only importer of paramiko: connections, keys, host keys, files, pools
infrastructure  first script: network, machines, auto-scaling, IAM roles, EKS cluster, cleanup
software        first script, over SSH: ZooKeeper, MySQL NDB, SQL schema, HDFS format
eks             second script: node groups, add-ons, access, kubeconfig, storage
openwhisk       second script: chart, values, release, certificate, load balancer, API
namenodes       third script: NameNode actions, their upload and their verification
preflight       every check before the first write: permissions, quotas, AMIs, zones
verify          checks of a deployment from its client to its file system
pause           pause and resume: what is stopped, in which order, and started again
lockfile        what was deployed: the file to cite, to repeat and to compare
tables          the step tables of all scripts
report          the only package that prints: console, progress, timeline, diagrams, page
cli             the only importer of click: commands, options, prompts, exit codes, doctor
rehearsal       the emulated cloud and the demo; the product never imports it

Imports go to the right only: cli > report > tables > lockfile > pause > verify > preflight >
namenodes > openwhisk > eks > software > infrastructure > ssh, kube > aws > engine > config >
errors. tests/test_layers.py checks this, and that each outside library has one importing package.
"""

__version__ = "1.0"
"""The version of this project; --version shows it, and servers' logs do."""
