# What benchmarks/floor.py creates, with AWS's CLI: one process for each call, nothing inspected.
# benchmarks/peers.py sets KEY, ZONES, ADDRESSES, NDB_AMIS, SINGLE_AMIS, ZOOKEEPER_AMI,
# SCALED and SCALED_AMI.
set -eu
NAME=peer
tagged() { echo "ResourceType=$1,Tags=[{Key=Name,Value=$NAME}]"; }
text() { aws --output text "$@"; }
quiet() { aws "$@" > silent; }
set -- $ZONES
FIRST_ZONE=$1 SECOND_ZONE=$2

TRUST='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
  "Principal":{"Service":"eks.amazonaws.com"}}]}'
ROLE=$(text iam create-role --role-name $NAME --assume-role-policy-document "$TRUST" --query Role.Arn)
quiet iam attach-role-policy --role-name $NAME \
  --policy-arn arn:aws:iam::aws:policy/AmazonEKSClusterPolicy

VPC=$(text ec2 create-vpc --cidr-block 10.0.0.0/16 \
  --tag-specifications "$(tagged vpc)" --query Vpc.VpcId)
quiet ec2 modify-vpc-attribute --vpc-id "$VPC" --enable-dns-support
quiet ec2 modify-vpc-attribute --vpc-id "$VPC" --enable-dns-hostnames
subnet() {
  text ec2 create-subnet --vpc-id "$VPC" --cidr-block "10.0.$1.0/20" --availability-zone "$2" \
    --tag-specifications "$(tagged subnet)" --query Subnet.SubnetId
}
PUBLIC_1=$(subnet 0 "$FIRST_ZONE") PUBLIC_2=$(subnet 16 "$SECOND_ZONE")
PRIVATE_1=$(subnet 32 "$FIRST_ZONE") PRIVATE_2=$(subnet 48 "$SECOND_ZONE")
for SUBNET in "$PUBLIC_1" "$PUBLIC_2"; do
  quiet ec2 modify-subnet-attribute --subnet-id "$SUBNET" --map-public-ip-on-launch
done
for ADDRESS in $ADDRESSES 10.0.6.227; do
  quiet ec2 create-subnet-cidr-reservation --subnet-id "$PUBLIC_1" --cidr "$ADDRESS/32" \
    --reservation-type explicit
done
GATEWAY=$(text ec2 create-internet-gateway --tag-specifications "$(tagged internet-gateway)" \
  --query InternetGateway.InternetGatewayId)
quiet ec2 attach-internet-gateway --internet-gateway-id "$GATEWAY" --vpc-id "$VPC"
ADDRESS=$(text ec2 allocate-address --domain vpc --tag-specifications "$(tagged elastic-ip)" \
  --query AllocationId)
NAT=$(text ec2 create-nat-gateway --allocation-id "$ADDRESS" --subnet-id "$PUBLIC_1" \
  --tag-specifications "$(tagged natgateway)" --query NatGateway.NatGatewayId)
quiet ec2 wait nat-gateway-available --nat-gateway-ids "$NAT"
route_table() {
  TABLE=$(text ec2 create-route-table --vpc-id "$VPC" --tag-specifications "$(tagged route-table)" \
    --query RouteTable.RouteTableId)
  quiet ec2 create-route --route-table-id "$TABLE" --destination-cidr-block 0.0.0.0/0 "$1" "$2"
  quiet ec2 associate-route-table --route-table-id "$TABLE" --subnet-id "$3"
  quiet ec2 associate-route-table --route-table-id "$TABLE" --subnet-id "$4"
}
route_table --gateway-id "$GATEWAY" "$PUBLIC_1" "$PUBLIC_2"
route_table --nat-gateway-id "$NAT" "$PRIVATE_1" "$PRIVATE_2"
GROUP=$(text ec2 create-security-group --group-name $NAME --description $NAME --vpc-id "$VPC" \
  --tag-specifications "$(tagged security-group)" --query GroupId)
quiet ec2 authorize-security-group-ingress --group-id "$GROUP" --ip-permissions \
  "IpProtocol=-1,UserIdGroupPairs=[{GroupId=$GROUP}]" \
  "IpProtocol=tcp,FromPort=22,ToPort=22,IpRanges=[{CidrIp=52.94.76.7/32}]"

quiet eks create-cluster --name $NAME --role-arn "$ROLE" --resources-vpc-config \
  "subnetIds=$PUBLIC_1,$PUBLIC_2,$PRIVATE_1,$PRIVATE_2,securityGroupIds=$GROUP" \
  --access-config authenticationMode=API_AND_CONFIG_MAP

launch() {
  IMAGE=$1 COUNT=$2
  shift 2
  text ec2 run-instances --instance-type r5.4xlarge --key-name "$KEY" --image-id "$IMAGE" \
    --count "$COUNT" --subnet-id "$PUBLIC_1" --security-group-ids "$GROUP" "$@" \
    --tag-specifications "$(tagged instance)" --query 'Instances[].InstanceId'
}
IDS=
for AMI in $NDB_AMIS; do IDS="$IDS $(launch "$AMI" 2)"; done
for AMI in $SINGLE_AMIS; do IDS="$IDS $(launch "$AMI" 1)"; done
for ADDRESS in $ADDRESSES; do
  IDS="$IDS $(launch "$ZOOKEEPER_AMI" 1 --private-ip-address "$ADDRESS")"
done
for SCALED_NAME in $SCALED; do
  TEMPLATE=$(text ec2 create-launch-template --launch-template-name "$SCALED_NAME" \
    --launch-template-data "{\"ImageId\":\"$SCALED_AMI\",\"InstanceType\":\"r5.4xlarge\"}" \
    --query LaunchTemplate.LaunchTemplateId)
  quiet autoscaling create-auto-scaling-group --auto-scaling-group-name "$SCALED_NAME" \
    --launch-template "LaunchTemplateId=$TEMPLATE" --min-size 0 --max-size 8 \
    --desired-capacity 0 --vpc-zone-identifier "$PUBLIC_1,$PUBLIC_2"
done
quiet ec2 wait instance-running --instance-ids $IDS
quiet eks wait cluster-active --name $NAME
OF_NODES=$(text eks describe-cluster --name $NAME \
  --query cluster.resourcesVpcConfig.clusterSecurityGroupId)
rule() { echo "IpProtocol=$1,FromPort=$2,ToPort=$3,UserIdGroupPairs=[{GroupId=$OF_NODES}]"; }
quiet ec2 authorize-security-group-ingress --group-id "$GROUP" --ip-permissions \
  "$(rule tcp 1186 1186)" "$(rule tcp 11860 11860)" "$(rule tcp 3306 3306)" \
  "$(rule tcp 2181 2181)" "$(rule tcp 6000 6999)" "$(rule udp 7000 7999)"
