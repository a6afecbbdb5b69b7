"""In: nothing. Out: ``INDEX``, every entry of the index of AI Rudder's documentation by its group.

From the index in "验证 自定义API 节点数据推送" (platforms/airudder-index-and-verify.txt): for most
entries the title is all that we have. A Chinese and an English entry that are evidently the same
page are one line, ``English · 中文``; so are their groups. ``capabilities`` says of each what is
known beyond its title.
"""

from __future__ import annotations

COLLECTION = "Collection · 催收"
TELEMARKETING = "Telemarketing & E-commerce · 营销&电商"
INFO_CHECK = "Info Check · 信审"
WORKFLOW = "Workflow · Workflow 工作流"
WORKFLOW_PDS = f"{WORKFLOW} / Webhooks of the Info of Predictive Dialer System · 预测式外呼信息回调"
LEADS = "WorkFlow_LeadsGeneration"
CHATBOT = "Chatbot English · Chatbot"

_TASKS = "APIs Related to Calling Tasks"
_PLANS = "APIs Related to Calling Plans"

INDEX: dict[str, str] = {
    "Introduction": """
        Introductions · API 文档介绍
        Quick Start · 快速上手
    """,
    "Get the Authorization token · 鉴权方法": """
        Token Authentication and Obtain · 验证并获取令牌
    """,
    "Error Codes · 全局错误代码": """
        Error Codes · 全局错误代码
    """,
    COLLECTION: """
        Quick Start · 快速上手
    """,
    f"{COLLECTION} / {_TASKS} · 调用任务相关 API": """
        Create a Calling Task · 创建外呼拨打任务
        List the Task Created · 列出已创建的任务
        Cancel a Calling Task · 停止一个呼叫任务
        Cancel a Certain Call in a Specific Task · 取消指定任务中的某个电话的拨打
        Webhook of Task · 任务结束状态通知
        Webhook of Call · 任务电话维度拨打结束状态通知
        Obtain the Detailed Information of Tasks · 获取任务详细信息
        Obtain a Call Recording · 获取单个案件通话录音
        Obtain Call Recordings · 获取任务录音文件
        Fetch robot list · 获取机器人列表
        根据callid获取电话信息和录音链接
    """,
    f"{COLLECTION} / {_PLANS} · 调用计划相关的API": """
        Obtain the List of Strategies · 获取策略列表
        Create a Dialing Plan with Strategy · 创建策略计划拨打任务
        Obtain the Information of Plan Status · 获取计划状态信息
        Obtain the Information of Each Round of the Plan · 获取计划内任务轮次信息
        List the Task Created · 列出已创建的任务
        Cancel a Calling Task · 停止一个呼叫任务
        Cancel a Certain Call in a Plan · 取消计划中的某个电话的拨打
        Webhook of Plan · 计划结束状态通知
        Webhook of Task · 任务结束状态通知
        Webhook of Call · 任务电话维度拨打结束状态通知
        Obtain the Detailed Information of Tasks · 获取任务详细信息
        Obtain a Call Recording · 获取单个案件通话录音
        Obtain Task Recordings · 获取任务录音文件
        Obtain All Call Recordings of a Number in the Plan · 获取计划内某个电话所有的通话录音
    """,
    TELEMARKETING: """
        Quick Start · 快速上手
    """,
    f"{TELEMARKETING} / {_TASKS} · 调用任务相关的API": """
        Create a Calling Task · 创建拨打任务
        List the Task Created · 列出已创建的任务
        Cancel a Calling Task · 停止一个呼叫任务
        Cancel a Certain Call in a Specific Task · 取消某个任务电话拨打
        Webhook of task · 任务结束状态通知
        Webhook of Call · 任务电话维度拨打结束状态通知
        Obtain the Detailed Information of Tasks · 获取任务详细信息
        Obtain a Call Recording · 获取单个案件通话录音
        Obtain Task Recordings · 获取任务录音文件
        Fetch robot list · 获取机器人列表
        根据callid获取电话信息和录音链接
    """,
    f"{TELEMARKETING} / {_PLANS} · 调用计划相关的API": """
        Obtain the List of Strategies · 获取策略列表
        Create a Dialing Plan with Strategy · 创建策略计划拨打任务
        Obtain the Information of Plan Status · 获取计划状态信息
        Obtain the Information of Each Round of the Plan · 获取计划内任务轮次信息
        List the Task Created · 列出已创建的任务
        Cancel a Calling Task · 取消一个呼叫任务
        Cancel a Certain Call in a Plan · 取消计划中的某个电话的拨打
        Webhook of Plan · 计划结束状态通知
        Webhook of Task · 任务结束状态通知
        Webhook of Call · 任务电话维度拨打结束状态通知
        Obtain the Detailed Information of Tasks · 获取任务详细信息
        Obtain a Call Recording · 获取单个案件通话录音
        Obtain Call Recordings · 获取任务录音文件
        Obtain All Call Records of a Number in the Plan · 获取计划内某个电话所有的通话录音
    """,
    INFO_CHECK: """
        Quick Start · 快速上手
    """,
    f"{INFO_CHECK} / {_TASKS} · 调用任务相关的API": """
        Create a Calling Task · 创建拨打任务
        List the Task Created · 列出已创建的任务
        Cancel a Calling Task · 停止一个任务拨打
        Cancel a Certain Call in a Specific Task · 取消某个任务电话拨打
        Webhook of task · 任务结束状态通知
        Webhook of Call · 任务电话维度拨打结束状态通知
        Obtain the Detailed Information of Tasks · 获取任务详细信息
        Obtain a Call Recording · 获取单个案件通话录音
        Obtain Task Recordings · 获取任务录音文件
        Fetch robot list · 获取机器人列表
        根据callid获取电话信息和录音链接
    """,
    f"{INFO_CHECK} / {_PLANS} · 调用计划相关的API": """
        Obtain the List of Strategies · 获取策略列表
        Create a Dialing Plan with Strategy · 创建策略计划拨打任务
        Obtain the Information of Plan Status · 获取计划状态信息
        Obtain the Information of Each Round of the Plan · 获取计划内任务轮次信息
        List the Task Created · 列出已创建的任务
        Cancel a Calling Task · 停止一个任务拨打
        Cancel a Certain Call in a Plan · 取消计划中的某个电话的拨打
        Webhook of Plan · 计划结束状态通知
        Webhook of Task · 任务结束状态通知
        Webhook of Call · 任务电话维度拨打结束状态通知
        Obtain the Detailed Information of Tasks · 获取任务详细信息
        Obtain a Call Recording · 获取单个案件通话录音
        Obtain Call Recordings · 获取任务录音文件
        Obtain All Call Records of a Number in the Plan · 获取计划内某个电话所有的通话录音
    """,
    WORKFLOW_PDS: """
        Webhook of Predictive Dialer Task Status Changes · PDS 任务状态更改回调
        Webhook of Predictive Dialer Contacts Status Changes · PDS 联系人状态更改回调
        Webhook of Predictive Dialer Agents Status Changes · PDS 坐席状态更改回调
    """,
    WORKFLOW: """
        Create a New WorkFlow Task · 创建一个新的Workflow任务
        Obtain the List of Workflow Templates · 获取workflow模板列表
        Add lists to an workflow task · 为workflow任务新增名单
        Update the List Info of Workflow Task · 更新workflow任务内的名单信息
        Cancel the processes for a specific list · 取消workflow任务内某个电话的后续流程
        Notification of Call Completion in Workflow (Debt Collection/Marketing/E-commerce) · Workflow外呼电话拨打结束通知 (催收/营销/电商示例)
        Notification of Call Completion in Workflow(Info Check) · Workflow外呼电话拨打结束通知 (信审示例)
        Custom API Node Data Push · 自定义API 节点数据推送
        Verify the Custom API Node Data Push · 验证 自定义API 节点数据推送
        Stop the Workflow Task · 停止workflow任务
        Obtain the Workflow Task List · 获取workflow任务列表
        Obtain the Subtask List of the Workflow · 获取workflow实例的子任务列表信息
        Obtain the Outbound Task List of Workflow · 获取workflow节点运行的外呼任务
        Obtain the Outbound Task Details of Workflow(Collection/Telemarketing/E-commerce) · 获取workflow外呼任务明细 (催收/营销/电商示例)
        Obtain the Outbound Task Details of Workflow(Info Check) · 获取workflow外呼任务明细(信审示例)
        Obtain Call Information and Recording Links by callee/caseid and taskid/workflow_id · 根据callee/caseid和taskid/workflow_id获取电话信息和录音链接
        Obtian Call Information and Recording Link by Call ID · 根据callid获取电话信息和录音链接
        Obtain All the Recordings of a Single Number in the Workflow · 获取workflow里单个电话的所有录音
        Query workflow_id using case_id/callee · 通过 case_id/callee 查询 workflow_id
        Notification for Workflow List Completion · workflow 名单结束通知
        Notification of Workflow Status Change · workflow 状态变更通知
        Obtain the WABA Tasks List of Workflow · 获取workflow节点运行的WABA任务
        Obtain the WABA Task Details of Workflow · 获取workflow内WABA任务明细
        Notification of WABA Message Status Alteration in Workflow · Workflow内WABA消息状态变更通知
        Chatbot Session End Notification in Workflow · Workflow内Chatbot会话结束通知
    """,  # noqa: E501
    "加解密对接": """
        API接口使用AES加解密对接
        API接口使用AES加解密对接-示例
    """,
    f"{LEADS} / Webhooks of the Info of Predictive Dialer System": """
        Webhook of Predictive Dialer Task Status Changes
        Webhook of Predictive Dialer Agents Status Changes
        Webhook of Predictive Dialer Contacts Status Changes
    """,
    LEADS: """
        Create a New WorkFlow Task
        Obtain the List of Workflow Templates
        Add Workflow Contacts
        Update the List Info of Workflow
        Cancel a Call
        End Status Notification from the Dimension of Phone Call
        Stop the Workflow Task
        Custom API Data Push
        Verify the Custom API Data Push
        Obtain the Task List of Workflow
        Obtain the Subtask List of the Workflow
        Obtain All the Recordings of a Single Number in the Workflow
    """,
    "Flex_Route": """
        LendSwift-Outbound-Push-Data-to-AI-Rudder
        SDR-Webpage-Push-Data-to-Workflow
        Talmarket Debt-Consolidation Push Data to Make Outboud Call
        Use AI Rudder Make Outbound Call
    """,
    "API_Store": """
        Push-Data-to-Boberdoo-After-EnablementData-Inbound-Call
        AI Rudder Ping Doucet Before Transfer
    """,
    "Encrypted callbacks": """
        回调数据加解密对接
    """,
    "DIDI营销定制": """
        获取机器人列表
        获取机器人详情
        创建外呼拨打任务
    """,
    CHATBOT: """
        Quick Start · 接入准备
        Error Code · 错误码
        HSB关于custom字段使用说明
        Query available WABA accounts · 查询可用WABA账号
        Query the template list · 查询模版列表
        Template details · 查询模版详情
        Send template message · 发送模版消息
        Query the template message sending result · 查询模版消息发送结果
        Callback template message sending result · 回调模版消息发送结果
        Send single template message · 发送单个模版消息接口
        Callback single template message user response · 回调单个模版消息用户响应
        Callback agent transfer request · 回调转人工申请
        Callback status change after the message is sent · 回调坐席消息发送之后的状态变更
        Callback message sent by user · 回调转人工后用户发送的消息
        *Callback agent transfer request
        *Callback for status change after the agent message is sent
        *Callback for messages sent by the user after transferring to agent
        Callback for session end event · 回调会话结束事件
        Agent transfer result · 转人工结果
        Query conversation list · 查询会话列表
        Query message list · 查询消息列表
        *Query message list
        Mark user message as read · 将用户消息标记为已读
        Send regular message · 发送普通消息
        End session · 结束会话
        Upload file · 上传文件
        Upload file (Google maps thumbnail) · 上传文件(谷歌地图缩略图)
        Report after session ends · 会话结束后上报
        查询公司所有渠道信息
        用户发送的消息事件上报
        渠道发送的消息事件上报
        渠道发送的消息状态变更事件上报
        获取公司信息
        查询运单号物流轨迹
    """,
    f"{CHATBOT} / 华为 / api": """
        用户发送消息
        转人工结果
    """,
    f"{CHATBOT} / 华为 / webhook": """
        回调机器人回复消息
        回调转人工申请
        结束会话
    """,
    f"{CHATBOT} / bot": """
        User send message · 用户发送消息
        Callback bot reply message · 回调机器人回复消息
        Callback transfer to agent request · 回调转人工申请
        Callback for ended session · 回调结束会话
    """,
    "Inbound Callback": """
        Inbound Business Integration Guide · inbound业务对接介绍
        Notification after Successful Transfer to an Agent · 转人工成功后通知
        Notification after the Call Ends · 电话结束后通知
    """,
}


def list_entries() -> list[tuple[str, str]]:
    """(group, entry) in the order of the index."""
    return [
        (group, line.strip())
        for group, titles in INDEX.items()
        for line in titles.strip().splitlines()
    ]
