"""The usage report against independent hands: boto3 puts figures into MiniStack's CloudWatch, the function reads them there, and
boto3 takes what it has delivered out of MiniStack's S3 and SNS."""

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import boto3
from stack import LOCAL, Lambda, free_port, wait_for

BUCKET = "reports"
HAIKU = "us.anthropic.claude-haiku-5-5"
TODAY = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
DAY = TODAY - timedelta(days=1)


def service(name, port):
    return boto3.client(
        name, region_name="us-east-1", endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="test", aws_secret_access_key="test")


def report(lambda_, **event):
    answer = lambda_.invoke({"window": "day", "end": TODAY.strftime("%Y-%m-%dT%H:%M:%SZ"), **event})
    return json.loads(answer, parse_float=Decimal)


def put(client, name, value, at, **more):
    dimensions = [{"Name": "ModelId", "Value": HAIKU}] + [{"Name": key, "Value": tier} for key, tier in more.items()]
    client.put_metric_data(
        Namespace="AWS/Bedrock", MetricData=[{"MetricName": name, "Dimensions": dimensions, "Timestamp": at, "Value": value}])


def the_report_reads_what_boto3_has_put(client, lambda_):
    for hour, calls in ((1, 3), (23, 4)):
        at = DAY + timedelta(hours=hour)
        put(client, "Invocations", calls, at)
        put(client, "InputTokenCount", 1000 * calls, at)
        put(client, "OutputTokenCount", 100 * calls, at)
    made = report(lambda_, deliver=False)
    row = made["models"][0]
    assert (row["invocations"], row["inputTokens"], row["outputTokens"]) == (7, 7000, 700), made
    assert row["costUsd"] == Decimal("0.11") * 7000 / 10**6 + Decimal("0.55") * 700 / 10**6, row
    assert [(hour["time"][11:16], hour["invocations"]) for hour in made["hours"]] == [("01:00", 3), ("23:00", 4)], made["hours"]
    # The same calls once more by service tier, and without any dimension, change nothing.
    at = DAY + timedelta(hours=1)
    put(client, "Invocations", 3, at, ServiceTier="default", ResolvedServiceTier="default")
    put(client, "InputTokenCount", 3000, at, ServiceTier="default", ResolvedServiceTier="default")
    client.put_metric_data(Namespace="AWS/Bedrock", MetricData=[{"MetricName": "Invocations", "Timestamp": at, "Value": 7}])
    again = report(lambda_, deliver=False)
    assert again["models"] == made["models"], again
    assert again["delivered"] == []


def boto3_finds_the_files_and_the_mail(port, queue, lambda_):
    s3, sqs = service("s3", port), service("sqs", port)
    made = report(lambda_)
    assert made["delivered"] == ["files", "mail", "metrics"], made["delivered"]
    folder = f"day/{DAY:%Y-%m-%d}"
    kept = {name["Key"]: name["Size"] for name in s3.list_objects_v2(Bucket=BUCKET, Prefix=folder)["Contents"]}
    names = ["report.html", "report.json", "report.csv", "report.txt", ".delivered/files", ".delivered/mail", ".delivered/metrics"]
    assert set(kept) == {f"{folder}/{name}" for name in names}, kept
    page = s3.get_object(Bucket=BUCKET, Key=f"{folder}/report.html")
    assert page["ContentType"] == "text/html; charset=utf-8" and b"</html>" in page["Body"].read()
    kept = json.loads(s3.get_object(Bucket=BUCKET, Key=f"{folder}/report.json")["Body"].read(), parse_float=Decimal)
    assert kept["models"] == made["models"]
    text = s3.get_object(Bucket=BUCKET, Key=f"{folder}/report.txt")["Body"].read().decode()
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    [mail] = [json.loads(message["Body"]) for message in messages]
    assert mail["Message"] == text and "7 calls" in mail["Subject"], mail
    assert report(lambda_)["delivered"] == [], "a second delivery of the event"
    assert "Messages" not in sqs.receive_message(QueueUrl=queue)


def the_function_against_ministack():
    port = free_port()
    ministack = subprocess.Popen(
        [Path(sys.executable).with_name("ministack")], env={**os.environ, "GATEWAY_PORT": str(port)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        service("s3", port).create_bucket(Bucket=BUCKET)
        topic = service("sns", port).create_topic(Name="usage")["TopicArn"]
        sqs = service("sqs", port)
        queue = sqs.create_queue(QueueName="reader")["QueueUrl"]
        reader = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        service("sns", port).subscribe(TopicArn=topic, Protocol="sqs", Endpoint=reader)
        address = f"http://127.0.0.1:{port}"
        with Lambda(Path(LOCAL).with_name("usage-report"), {
            "CLOUDWATCH_ENDPOINT": address, "AWS_ENDPOINT_URL_S3": address, "AWS_ENDPOINT_URL_SNS": address,
            "REPORT_BUCKET": BUCKET, "REPORT_TOPIC_ARN": topic,
        }) as lambda_:
            the_report_reads_what_boto3_has_put(service("cloudwatch", port), lambda_)
            print("the_report_reads_what_boto3_has_put: ok")
            boto3_finds_the_files_and_the_mail(port, queue, lambda_)
            print("boto3_finds_the_files_and_the_mail: ok")
    finally:
        ministack.terminate()
        ministack.wait()


the_function_against_ministack()
