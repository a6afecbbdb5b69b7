"""In: the body of a request, or an error code. Out: its fields, or the platform's refusal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from campaigns.platforms.sandbox_http import Reply, Request

Body = Mapping[str, Any]

# The appendix of the text.
MESSAGES: dict[int, str] = {
    200101: "账号或密码错误",
    10001: "无效的token请求",
    10002: "该token无请求权限",
    10003: "错误的app_id",
    10004: "服务忙,请稍后再试",
    10005: "输入参数不正确",
    10020: "接口维护",
    10021: "接口停用",
    200200: "错误的数据关系",
    200201: "错误的企业id",
    200202: "错误的任务id",
    200203: "错误的外呼号码",
    200204: "错误的话术id",
    200205: "错误的话术发音id",
    200206: "错误的语速",
    200209: "余额不足",
    200210: "错误的文件格式",
    200211: "文件上传超过限定大小10m",
    200212: "错误的数据,与话术动态信息不匹配",
    200213: "上传的外呼数据量超过限制",
    200222: "非有效工作时间段",
    3030002: "号码被占用",
    3010102: "任务已经删除",
    3010101: "任务已经完成",
}


class Refused(Exception):
    """The request gets this error code and nothing is done."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def read(body: Body, name: str, kind: type, *, default: Any = None, needed: bool = False) -> Any:
    """A field of exactly this type; absent and null are the same."""
    value = body.get(name)
    if value is None:
        if needed:
            raise Refused(10005)
        return default
    # A bool is an int to Python, but not to this platform.
    if type(value) is not kind:
        raise Refused(10005)
    return value


def read_list(body: Body, name: str, kind: type, *, needed: bool = False) -> list[Any]:
    values = read(body, name, list, default=[], needed=needed)
    if any(type(value) is not kind for value in values):
        raise Refused(10005)
    return list(values)


def read_body(request: Request) -> dict[str, Any]:
    """The JSON object of a POST. Raises Refused(10005) for anything else."""
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('" ')
    if request.method != "POST" or kind.strip().lower() != "application/json":
        raise Refused(10005)
    if charset not in ("", "utf-8", "utf8") or request.body is None:
        raise Refused(10005)
    try:
        body = json.loads(request.body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Refused(10005) from None
    if not isinstance(body, dict):
        raise Refused(10005)
    return body


def refuse(code: int) -> Reply:
    return Reply.json({"code": code, "message": MESSAGES.get(code, "未知错误"), "result": {}})


def spoil_payload(told: dict[str, Any], kind: str, *, earlier_id: int) -> None:
    """Change a good reply as a fault kind wants it."""
    result = told["result"]
    ids = result.get("task_data_ids")
    match kind:
        case "code_false":
            told["code"] = False
        case "code_string":
            told["code"] = "0"
        case "code_float":
            told["code"] = 0.0
        case "no_result":
            del told["result"]
        case "total_short" if "total" in result:
            result["total"] -= 1
        case "ids_short" if ids:
            ids.pop()
        case "ids_doubled" if ids:
            ids[-1] = ids[0]
        case "ids_overlap" if ids:
            ids[0] = earlier_id or ids[0] - 1
