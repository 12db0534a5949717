"""Stand-ins for the programs of MySQL NDB and hdfs, which run on the rehearsal's VMs.

They are real processes with the real names and with state on disk, so PID files, power cuts and
lost connections behave as on the λFS VMs. They use the standard library only.
"""
