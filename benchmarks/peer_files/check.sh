# Reads each kind of resource once with AWS's CLI, as `benchmarks/floor.py check`.
set -eu
NAME=peer
MINE="Name=tag:Name,Values=$NAME"
quiet() { aws "$@" > silent; }
quiet sts get-caller-identity
VPC=$(aws --output text ec2 describe-vpcs --filters "$MINE" --query 'Vpcs[0].VpcId')
for ATTRIBUTE in enableDnsSupport enableDnsHostnames; do
  quiet ec2 describe-vpc-attribute --vpc-id "$VPC" --attribute $ATTRIBUTE
done
SUBNET=$(aws --output text ec2 describe-subnets --filters "$MINE" --query 'Subnets[0].SubnetId')
quiet ec2 get-subnet-cidr-reservations --subnet-id "$SUBNET"
for KIND in internet-gateways addresses route-tables security-groups instances volumes; do
  quiet ec2 describe-$KIND --filters "$MINE"
done
quiet ec2 describe-nat-gateways --filter "$MINE"
quiet ec2 describe-images --filters \
  "Name=image-id,Values=$(echo $NDB_AMIS $SINGLE_AMIS $ZOOKEEPER_AMI | tr ' ' ,)"
quiet ec2 describe-launch-templates --launch-template-names $SCALED
quiet ec2 describe-key-pairs --key-names "$KEY"
quiet autoscaling describe-auto-scaling-groups --auto-scaling-group-names $SCALED
quiet iam get-role --role-name $NAME
quiet iam list-attached-role-policies --role-name $NAME
quiet eks describe-cluster --name $NAME
