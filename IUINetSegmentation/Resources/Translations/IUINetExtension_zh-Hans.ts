<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE TS>
<TS version="2.1" language="zh-Hans" sourcelanguage="en">
<context>
    <name>IUINetSegmentation</name>
    <message>
        <source>IUINet abdominal CT segmentation</source>
        <translation>IUINet 腹部 CT 分割</translation>
    </message>
    <message>
        <source>Segments 13 abdominal organs in a CT volume: spleen, kidneys, gallbladder, esophagus, liver, stomach, aorta, inferior vena cava, portal and splenic veins, pancreas, and adrenal glands. Images never leave this computer.&lt;p&gt;The result is a starting point to be checked and corrected by a person. It is not a medical device and not for diagnosis. The model is for CT of adults only; the smaller an organ, the less it can be relied on.&lt;/p&gt;</source>
        <translation>在 CT 图像中分割 13 个腹部器官：脾脏、左右肾脏、胆囊、食管、肝脏、胃、主动脉、下腔静脉、门静脉和脾静脉、胰腺、左右肾上腺。图像不会离开本机。&lt;p&gt;结果只是起点，须由专业人员检查和修正。本软件不是医疗器械，不用于诊断。模型仅适用于成人 CT；器官越小，结果越不可靠。&lt;/p&gt;</translation>
    </message>
    <message>
        <source>Sample CT (generated)</source>
        <translation>示例 CT（合成）</translation>
    </message>
    <message>
        <source>&lt;p&gt;&lt;a href=&quot;{page}&quot;&gt;Documentation&lt;/a&gt; · &lt;a href=&quot;{source}&quot;&gt;Source code&lt;/a&gt; · &lt;a href=&quot;{paper}&quot;&gt;Paper&lt;/a&gt;&lt;/p&gt;</source>
        <translation>&lt;p&gt;&lt;a href=&quot;{page}&quot;&gt;文档&lt;/a&gt; · &lt;a href=&quot;{source}&quot;&gt;源代码&lt;/a&gt; · &lt;a href=&quot;{paper}&quot;&gt;论文&lt;/a&gt;&lt;/p&gt;</translation>
    </message>
    <message>
        <source>The network follows IUINet, a U-shaped network with learnable three-dimensional shifts and dynamic fully connected layers: &lt;a href=&quot;{paper}&quot;&gt;Zhu, Cheng, Liu: IUINet: Two-flow Mapping 3D Medical Segmentation Model Based on Shift. Computer Systems &amp; Applications 33(1), 2024&lt;/a&gt;. The starter model&apos;s training data and their licences stand on &lt;a href=&quot;{card}&quot;&gt;its card&lt;/a&gt;.</source>
        <translation>网络依据 IUINet：一种带有可学习三维移位和动态全连接层的 U 形网络，见 &lt;a href=&quot;{paper}&quot;&gt;Zhu, Cheng, Liu: IUINet: Two-flow Mapping 3D Medical Segmentation Model Based on Shift. Computer Systems &amp; Applications（计算机系统应用）33(1), 2024&lt;/a&gt;。入门模型的训练数据及其许可见&lt;a href=&quot;{card}&quot;&gt;模型卡&lt;/a&gt;。</translation>
    </message>
    <message>
        <source>Looking at this computer…</source>
        <translation>正在检查本机…</translation>
    </message>
    <message>
        <source>Set up…</source>
        <translation>安装组件…</translation>
    </message>
    <message>
        <source>Install what the model needs to run. You will be asked first.</source>
        <translation>安装模型运行所需的组件。安装前会先询问。</translation>
    </message>
    <message>
        <source>CT volume</source>
        <translation>CT 图像</translation>
    </message>
    <message>
        <source>Select a CT volume</source>
        <translation>选择 CT 图像</translation>
    </message>
    <message>
        <source>The CT to segment</source>
        <translation>要分割的 CT</translation>
    </message>
    <message>
        <source>Try a sample</source>
        <translation>试用示例</translation>
    </message>
    <message>
        <source>Show a generated CT, without downloading anything</source>
        <translation>显示一个合成的 CT，无需下载</translation>
    </message>
    <message>
        <source>Warning read: segment anyway</source>
        <translation>已阅读警告：仍然分割</translation>
    </message>
    <message>
        <source>Accept the warning for this volume</source>
        <translation>对此图像接受该警告</translation>
    </message>
    <message>
        <source>Download a real CT</source>
        <translation>下载真实 CT</translation>
    </message>
    <message>
        <source>Sample CTLiver of Slicer&apos;s Sample Data module: an abdominal CT of a person (Medical Segmentation Decathlon, liver_100). Slicer downloads it once from the Internet and keeps it in its cache.</source>
        <translation>Slicer“示例数据”模块中的 CTLiver：一例真人腹部 CT（Medical Segmentation Decathlon，liver_100）。Slicer 从互联网下载一次并保存在缓存中。</translation>
    </message>
    <message>
        <source>Segment all time points</source>
        <translation>分割所有时间点</translation>
    </message>
    <message>
        <source>The result is a sequence of segmentations that plays along with the images. Else only the time point that is shown is segmented.</source>
        <translation>结果是与图像同步播放的分割序列。否则只分割当前显示的时间点。</translation>
    </message>
    <message>
        <source>Segmentation</source>
        <translation>分割结果</translation>
    </message>
    <message>
        <source>Create new on Segment</source>
        <translation>分割时新建</translation>
    </message>
    <message>
        <source>Where the result goes</source>
        <translation>结果保存到哪里</translation>
    </message>
    <message>
        <source>Replace IUINet&apos;s organs in it (else: a new segmentation)</source>
        <translation>替换其中 IUINet 的器官（否则新建分割）</translation>
    </message>
    <message>
        <source>Other segments stay, and the replacement can be undone.</source>
        <translation>其他分割区段保留，替换可以撤销。</translation>
    </message>
    <message>
        <source>Segment</source>
        <translation>分割</translation>
    </message>
    <message>
        <source>Cancel</source>
        <translation>取消</translation>
    </message>
    <message>
        <source>Try again</source>
        <translation>重试</translation>
    </message>
    <message>
        <source>Run on the CPU</source>
        <translation>在 CPU 上运行</translation>
    </message>
    <message>
        <source>Copy diagnostics</source>
        <translation>复制诊断信息</translation>
    </message>
    <message>
        <source>Result</source>
        <translation>结果</translation>
    </message>
    <message>
        <source>Show the result over the CT</source>
        <translation>在 CT 上叠加显示结果</translation>
    </message>
    <message>
        <source>Untick it to see the CT alone</source>
        <translation>取消勾选则只显示 CT</translation>
    </message>
    <message>
        <source>Undo replacement</source>
        <translation>撤销替换</translation>
    </message>
    <message>
        <source>Edit in Segment Editor</source>
        <translation>在分割编辑器中修改</translation>
    </message>
    <message>
        <source>Show 3D</source>
        <translation>显示 3D</translation>
    </message>
    <message>
        <source>Copy table</source>
        <translation>复制表格</translation>
    </message>
    <message>
        <source>Advanced</source>
        <translation>高级</translation>
    </message>
    <message>
        <source>Run on</source>
        <translation>运行于</translation>
    </message>
    <message>
        <source>Where the network runs. Automatic takes a GPU that works, else the CPU.</source>
        <translation>模型在哪里运行。“自动”选用可用的 GPU，否则用 CPU。</translation>
    </message>
    <message>
        <source>Model</source>
        <translation>模型</translation>
    </message>
    <message>
        <source>Which model segments</source>
        <translation>使用哪个模型分割</translation>
    </message>
    <message>
        <source>Install from file…</source>
        <translation>从文件安装…</translation>
    </message>
    <message>
        <source>Check a model file and keep it in your folder of models</source>
        <translation>检查模型文件并保存到您的模型文件夹</translation>
    </message>
    <message>
        <source>Download</source>
        <translation>下载</translation>
    </message>
    <message>
        <source>Delete</source>
        <translation>删除</translation>
    </message>
    <message>
        <source>Open folder</source>
        <translation>打开文件夹</translation>
    </message>
    <message>
        <source>Region</source>
        <translation>区域</translation>
    </message>
    <message>
        <source>Whole volume</source>
        <translation>整个图像</translation>
    </message>
    <message>
        <source>Segment only inside this box. A new one is placed over the middle of the scan; drag its handles in the slice views.</source>
        <translation>只在此框内分割。新框放在扫描中央；可在切片视图中拖动其控制点。</translation>
    </message>
    <message>
        <source>Organs</source>
        <translation>器官</translation>
    </message>
    <message>
        <source>Only these organs become segments</source>
        <translation>只输出这些器官</translation>
    </message>
    <message>
        <source>Remove islands: keep each organ&apos;s largest connected part</source>
        <translation>去除孤立小块：每个器官只保留最大连通部分</translation>
    </message>
    <message>
        <source>Of organs that are one connected part by the model&apos;s own table; all parts of others are kept in any case</source>
        <translation>仅针对模型器官表中注明为单一连通的器官；其他器官的各部分始终保留</translation>
    </message>
    <message>
        <source>Fast: half the time, less exact</source>
        <translation>快速：时间减半，精度较低</translation>
    </message>
    <message>
        <source>Leave out the second, closer look at the organs that the model may have been trained for</source>
        <translation>省去第二遍精细分割（若模型为此训练过）</translation>
    </message>
    <message>
        <source>Versions, devices, models and folders, for a report. No image data.</source>
        <translation>版本、计算设备、模型和文件夹，供报告问题使用。不含图像数据。</translation>
    </message>
    <message>
        <source>Log</source>
        <translation>日志</translation>
    </message>
    <message>
        <source>Copy</source>
        <translation>复制</translation>
    </message>
    <message>
        <source>Save…</source>
        <translation>保存…</translation>
    </message>
</context>
<context>
    <name>IUINetSegmentationLib.language</name>
    <message>
        <source>, </source>
        <translation>、</translation>
    </message>
    <message>
        <source>{text}.</source>
        <translation>{text}。</translation>
    </message>
</context>
<context>
    <name>messages</name>
    <message>
        <source>&apos;iuinet weights list&apos; shows the models that are here.</source>
        <translation>“iuinet weights list”列出本机的模型。</translation>
    </message>
    <message>
        <source>14 real CTs of the Synapse/BTCV set, and synthetic CT generated from three label maps.</source>
        <translation>Synapse/BTCV 数据集的 14 例真实 CT，以及由三个标签图生成的合成 CT。</translation>
    </message>
    <message>
        <source>Check HTTPS_PROXY, or ask whoever administers the network.</source>
        <translation>检查 HTTPS_PROXY，或询问网络管理员。</translation>
    </message>
    <message>
        <source>Check the address in IUINET_WEIGHTS_INDEX, or set it to a copy of the list.</source>
        <translation>检查 IUINET_WEIGHTS_INDEX 中的地址，或将其设为该列表的副本。</translation>
    </message>
    <message>
        <source>Check the address in IUINET_WEIGHTS_INDEX: a login page may have come instead.</source>
        <translation>检查 IUINET_WEIGHTS_INDEX 中的地址：收到的可能是登录页面。</translation>
    </message>
    <message>
        <source>Check the drive and the path.</source>
        <translation>检查磁盘和路径。</translation>
    </message>
    <message>
        <source>Check the network, or install the extension PyTorch in the Extensions Manager.</source>
        <translation>检查网络，或在扩展管理器中安装扩展 PyTorch。</translation>
    </message>
    <message>
        <source>Check the network, or install the packages offline as the manual describes.</source>
        <translation>检查网络，或按手册离线安装软件包。</translation>
    </message>
    <message>
        <source>Check the network, or press Try a sample, which needs none.</source>
        <translation>检查网络，或按“试用示例”，它不需要网络。</translation>
    </message>
    <message>
        <source>Check the rights of the file, and the disk or network drive it lies on.</source>
        <translation>检查文件的权限，以及文件所在的磁盘或网络驱动器。</translation>
    </message>
    <message>
        <source>Check the rights of the folder, and that no program is using the model.</source>
        <translation>检查文件夹的权限，并确认没有程序正在使用该模型。</translation>
    </message>
    <message>
        <source>Check the scan&apos;s orientation: {pair}.</source>
        <translation>请检查扫描方向：{pair}。</translation>
    </message>
    <message>
        <source>Check the voxel size: it should be in millimetres.</source>
        <translation>检查体素大小：单位应为毫米。</translation>
    </message>
    <message>
        <source>Choose a CT series.</source>
        <translation>请选择 CT 序列。</translation>
    </message>
    <message>
        <source>Choose a CT volume.</source>
        <translation>请选择 CT 图像。</translation>
    </message>
    <message>
        <source>Choose a CT volume; a color picture cannot be segmented.</source>
        <translation>请选择 CT 图像；彩色图片无法分割。</translation>
    </message>
    <message>
        <source>Choose a model by its id or file; &apos;iuinet weights list&apos; shows what there is.</source>
        <translation>按标识或文件选择模型；“iuinet weights list”列出可用的模型。</translation>
    </message>
    <message>
        <source>Choose a new segmentation for the result, or give both the same transform.</source>
        <translation>为结果选择新的分割，或让两者处于同一变换下。</translation>
    </message>
    <message>
        <source>Choose a segmentation node.</source>
        <translation>请选择分割节点。</translation>
    </message>
    <message>
        <source>Choose an empty segmentation, or none to have one made.</source>
        <translation>选择一个空的分割，或不选以新建一个。</translation>
    </message>
    <message>
        <source>Choose another folder.</source>
        <translation>请选择其他文件夹。</translation>
    </message>
    <message>
        <source>Choose another name, or allow that it is overwritten.</source>
        <translation>换一个名称，或允许覆盖。</translation>
    </message>
    <message>
        <source>Choose from: {organs}.</source>
        <translation>可选：{organs}。</translation>
    </message>
    <message>
        <source>Choose the CT volume, or export it again.</source>
        <translation>请选择 CT 图像，或重新导出。</translation>
    </message>
    <message>
        <source>Choose the CT volume.</source>
        <translation>请选择 CT 图像。</translation>
    </message>
    <message>
        <source>Choose the CT, in Hounsfield units: air is -1000, water 0.</source>
        <translation>请选择以亨氏单位 (HU) 表示的 CT：空气为 -1000，水为 0。</translation>
    </message>
    <message>
        <source>Close other programs, or crop the volume to the abdomen.</source>
        <translation>关闭其他程序，或将图像裁剪到腹部。</translation>
    </message>
    <message>
        <source>Connection lost at {size}: {failure}. Retrying in {seconds} s ({attempt} of {attempts}).</source>
        <translation>在 {size} 处连接中断：{failure}。{seconds} 秒后重试（{attempt}/{attempts}）。</translation>
    </message>
    <message>
        <source>Convert it where it was trained: &apos;python Training/export.py --help&apos;. Only .safetensors is read.</source>
        <translation>请在训练它的地方转换：“python Training/export.py --help”。只读取 .safetensors。</translation>
    </message>
    <message>
        <source>Copy or download it again and compare its size and SHA-256 with the source.</source>
        <translation>重新复制或下载，并与来源比较大小和 SHA-256。</translation>
    </message>
    <message>
        <source>Correct or unset IUINET_WEIGHTS_INDEX, or install IUINet again.</source>
        <translation>更正或取消设置 IUINET_WEIGHTS_INDEX，或重新安装 IUINet。</translation>
    </message>
    <message>
        <source>Correct the list of models, or export the model again.</source>
        <translation>更正模型列表，或重新导出模型。</translation>
    </message>
    <message>
        <source>Correct the volume&apos;s spacing and directions, or load it again.</source>
        <translation>更正图像的间距和方向，或重新加载。</translation>
    </message>
    <message>
        <source>Correct the voxel size, or export the CT again.</source>
        <translation>更正体素大小，或重新导出 CT。</translation>
    </message>
    <message>
        <source>Create the folder first.</source>
        <translation>请先创建该文件夹。</translation>
    </message>
    <message>
        <source>Every voxel has the same value ({flat}): there is nothing to segment.</source>
        <translation>所有体素的值相同（{flat}）：没有可分割的内容。</translation>
    </message>
    <message>
        <source>Export it again in Hounsfield units, or subtract the offset (probably {lost_offset}).</source>
        <translation>以亨氏单位重新导出，或减去偏移量（可能是 {lost_offset}）。</translation>
    </message>
    <message>
        <source>Export it with another id or version, or remove the model of that name first.</source>
        <translation>用其他标识或版本导出，或先删除同名模型。</translation>
    </message>
    <message>
        <source>Export the CT again.</source>
        <translation>请重新导出 CT。</translation>
    </message>
    <message>
        <source>Export the model again with Training/export.py.</source>
        <translation>请用 Training/export.py 重新导出模型。</translation>
    </message>
    <message>
        <source>Export the model again with an id of letters, digits, &apos;.&apos;, &apos;_&apos; and &apos;-&apos;.</source>
        <translation>请重新导出模型，标识只用字母、数字、&apos;.&apos;、&apos;_&apos; 和 &apos;-&apos;。</translation>
    </message>
    <message>
        <source>Export the model with Training/export.py, which writes this into the file.</source>
        <translation>请用 Training/export.py 导出模型，它会把这些写入文件。</translation>
    </message>
    <message>
        <source>Free some space and try again.</source>
        <translation>请释放一些空间后重试。</translation>
    </message>
    <message>
        <source>Free some space first.</source>
        <translation>请先释放一些空间。</translation>
    </message>
    <message>
        <source>Free some space or set IUINET_HOME to a folder that you may write to.</source>
        <translation>释放一些空间，或把 IUINET_HOME 设为您有写权限的文件夹。</translation>
    </message>
    <message>
        <source>Free some space there, or set TMPDIR (Windows: TEMP) to another folder.</source>
        <translation>在那里释放一些空间，或把 TMPDIR（Windows：TEMP）设为其他文件夹。</translation>
    </message>
    <message>
        <source>Free some space, or choose another folder.</source>
        <translation>释放一些空间，或选择其他文件夹。</translation>
    </message>
    <message>
        <source>Free some space, or set IUINET_HOME to a folder on another drive.</source>
        <translation>释放一些空间，或把 IUINET_HOME 设为其他磁盘上的文件夹。</translation>
    </message>
    <message>
        <source>Get the file on another computer and use &apos;Install from file&apos; or &apos;iuinet weights import&apos;.</source>
        <translation>在另一台计算机上获取该文件，然后使用“从文件安装”或“iuinet weights import”。</translation>
    </message>
    <message>
        <source>Get the file {file} and run &apos;iuinet weights import FILE&apos;.</source>
        <translation>获取文件 {file}，并运行“iuinet weights import FILE”。</translation>
    </message>
    <message>
        <source>Give a file name.</source>
        <translation>请给出文件名。</translation>
    </message>
    <message>
        <source>Give a shorter name.</source>
        <translation>请使用更短的名称。</translation>
    </message>
    <message>
        <source>Give its whole path, without &apos;~&apos;; IUINET_HOME names the folder for models.</source>
        <translation>请给出完整路径，不用 &apos;~&apos;；IUINET_HOME 指定模型文件夹。</translation>
    </message>
    <message>
        <source>Harden the transform on a copy of the volume first.</source>
        <translation>请先在图像副本上固化变换。</translation>
    </message>
    <message>
        <source>Install IUINet again, or choose another Python.</source>
        <translation>重新安装 IUINet，或选择其他 Python。</translation>
    </message>
    <message>
        <source>Install IUINet again, or load a CT of your own.</source>
        <translation>重新安装 IUINet，或加载您自己的 CT。</translation>
    </message>
    <message>
        <source>Install IUINet again, so that all its parts have one version.</source>
        <translation>请重新安装 IUINet，使各部分版本一致。</translation>
    </message>
    <message>
        <source>Install PyTorch again.</source>
        <translation>请重新安装 PyTorch。</translation>
    </message>
    <message>
        <source>Install Slicer again: its program PythonSlicer is missing or damaged.</source>
        <translation>请重新安装 Slicer：其程序 PythonSlicer 缺失或损坏。</translation>
    </message>
    <message>
        <source>Install Slicer into a folder of your own, or ask whoever administers this computer.</source>
        <translation>把 Slicer 安装到您自己的文件夹，或询问本机管理员。</translation>
    </message>
    <message>
        <source>Install a build of PyTorch for CUDA to use it, in Slicer by the module PyTorch Utils.</source>
        <translation>如要使用它，请安装 CUDA 版 PyTorch，在 Slicer 中通过模块 PyTorch Utils 安装。</translation>
    </message>
    <message>
        <source>Install a newer Slicer to segment; segmentations made elsewhere can be used in this one.</source>
        <translation>请安装更新的 Slicer 来分割；在别处完成的分割可在此版本中使用。</translation>
    </message>
    <message>
        <source>Install the extension PyTorch in the Extensions Manager, and restart Slicer.</source>
        <translation>在扩展管理器中安装扩展 PyTorch，并重启 Slicer。</translation>
    </message>
    <message>
        <source>Install the model again.</source>
        <translation>请重新安装模型。</translation>
    </message>
    <message>
        <source>Install {packages} for this Python.</source>
        <translation>请为此 Python 安装 {packages}。</translation>
    </message>
    <message>
        <source>It was set aside in {refused}. Download again. {by_hand}</source>
        <translation>已移到 {refused}。请重新下载。{by_hand}</translation>
    </message>
    <message>
        <source>Known ids: {known}. A file is named with its folder, such as ./model{suffix}.</source>
        <translation>已知标识：{known}。文件要连同其文件夹给出，如 ./model{suffix}。</translation>
    </message>
    <message>
        <source>Load the volume again.</source>
        <translation>请重新加载图像。</translation>
    </message>
    <message>
        <source>Most often the memory was short: close other programs, or crop the scan to the abdomen.</source>
        <translation>多数情况下是内存不足：关闭其他程序，或将扫描裁剪到腹部。</translation>
    </message>
    <message>
        <source>Move the box to the volume, or choose the whole volume.</source>
        <translation>把框移到图像上，或选择整个图像。</translation>
    </message>
    <message>
        <source>Needs about {needed} GB of memory ({size} voxels)</source>
        <translation>约需内存 {needed} GB（{size} 体素）</translation>
    </message>
    <message>
        <source>Nothing was changed.</source>
        <translation>没有任何更改。</translation>
    </message>
    <message>
        <source>Nothing was installed.</source>
        <translation>没有安装任何内容。</translation>
    </message>
    <message>
        <source>Only models that were imported can be removed.</source>
        <translation>只能删除导入的模型。</translation>
    </message>
    <message>
        <source>Only {count} {words} ({extent} mm)</source>
        <translation>只有 {count} {words}（{extent} mm）</translation>
    </message>
    <message>
        <source>Place the box first.</source>
        <translation>请先放置框。</translation>
    </message>
    <message>
        <source>PyTorch here is a CPU build</source>
        <translation>此处的 PyTorch 是 CPU 版</translation>
    </message>
    <message>
        <source>PyTorch is installed but does not start: {name}: {reason}</source>
        <translation>PyTorch 已安装但无法启动：{name}：{reason}</translation>
    </message>
    <message>
        <source>PyTorch is not installed</source>
        <translation>未安装 PyTorch</translation>
    </message>
    <message>
        <source>PyTorch {replaces} has to be replaced, and Slicer is using it</source>
        <translation>需要替换 PyTorch {replaces}，而 Slicer 正在使用它</translation>
    </message>
    <message>
        <source>PyTorch {version} is too old</source>
        <translation>PyTorch {version} 版本太旧</translation>
    </message>
    <message>
        <source>Remove the package that it names from Slicer&apos;s Python, or use a Slicer without the other extension.</source>
        <translation>从 Slicer 的 Python 中删除它所指的软件包，或使用没有另一扩展的 Slicer。</translation>
    </message>
    <message>
        <source>Rename the file or folder, or use a UTF-8 locale such as LC_ALL=C.UTF-8.</source>
        <translation>重命名文件或文件夹，或使用 UTF-8 区域设置，如 LC_ALL=C.UTF-8。</translation>
    </message>
    <message>
        <source>Replace them, e.g. by -1024, or export the CT again.</source>
        <translation>请替换它们，例如换成 -1024，或重新导出 CT。</translation>
    </message>
    <message>
        <source>Resample the volume to a straight grid first.</source>
        <translation>请先将图像重采样到正交网格。</translation>
    </message>
    <message>
        <source>Research, not for clinical use.</source>
        <translation>仅供研究，不用于临床。</translation>
    </message>
    <message>
        <source>Restart Slicer to finish.</source>
        <translation>重启 Slicer 以完成。</translation>
    </message>
    <message>
        <source>Restart Slicer, and set up IUINet first, before another module uses PyTorch.</source>
        <translation>请重启 Slicer，并在其他模块使用 PyTorch 之前先安装 IUINet 的组件。</translation>
    </message>
    <message>
        <source>Run &apos;iuinet weights install&apos; with a model&apos;s id, which fetches it.</source>
        <translation>用模型标识运行“iuinet weights install”，它会获取该列表。</translation>
    </message>
    <message>
        <source>Segment the whole scan rather than a part of it.</source>
        <translation>请分割整个扫描，而不是其中一部分。</translation>
    </message>
    <message>
        <source>Segment the whole volume, or each time point by itself.</source>
        <translation>请分割整个图像，或分别分割每个时间点。</translation>
    </message>
    <message>
        <source>Set SSL_CERT_FILE to your network&apos;s certificates, or install the model from a file.</source>
        <translation>把 SSL_CERT_FILE 设为您网络的证书，或从文件安装模型。</translation>
    </message>
    <message>
        <source>Set SSL_CERT_FILE to your network&apos;s certificates, start Slicer again, and try again.</source>
        <translation>把 SSL_CERT_FILE 设为您网络的证书，重新启动 Slicer 后再试。</translation>
    </message>
    <message>
        <source>Slicer did not take the segment {name}</source>
        <translation>Slicer 未接受分割区段 {name}</translation>
    </message>
    <message>
        <source>Slicer&apos;s Python cannot be started: {python} ({strerror})</source>
        <translation>无法启动 Slicer 的 Python：{python}（{strerror}）</translation>
    </message>
    <message>
        <source>Slicer&apos;s Sample Data module could not bring the sample {real_sample}</source>
        <translation>Slicer 的“示例数据”模块无法取得示例 {real_sample}</translation>
    </message>
    <message>
        <source>Slicer&apos;s folder for packages may not be written to: {folder} ({strerror})</source>
        <translation>没有写入 Slicer 软件包文件夹的权限：{folder}（{strerror}）</translation>
    </message>
    <message>
        <source>Slicer&apos;s folder may not be written to</source>
        <translation>没有写入 Slicer 文件夹的权限</translation>
    </message>
    <message>
        <source>Tell whoever keeps the list of models.</source>
        <translation>请告知模型列表的维护者。</translation>
    </message>
    <message>
        <source>The address serves another file. {by_hand}</source>
        <translation>该地址提供的是另一个文件。{by_hand}</translation>
    </message>
    <message>
        <source>The axes are not at right angles (off by {shear}).</source>
        <translation>坐标轴不互相垂直（偏差 {shear}）。</translation>
    </message>
    <message>
        <source>The list of models comes from {address} over http, not https: whoever can change it on its way chooses which models are installed.</source>
        <translation>模型列表来自 {address}，使用 http 而非 https：能在传输途中更改它的人可以决定安装哪些模型。</translation>
    </message>
    <message>
        <source>The log says more.</source>
        <translation>详情见日志。</translation>
    </message>
    <message>
        <source>The memory of {device} was short:</source>
        <translation>{device} 的内存不足：</translation>
    </message>
    <message>
        <source>The place of the volume is not finite: origin {origin}.</source>
        <translation>图像的位置不是有限值：原点 {origin}。</translation>
    </message>
    <message>
        <source>The spacing is {spacing}; it must be positive on every axis.</source>
        <translation>间距为 {spacing}；每个轴上都必须为正。</translation>
    </message>
    <message>
        <source>The values ({span}) look like CT stored without its offset: air lies near {lost_offset} instead of -1000.</source>
        <translation>数值（{span}）像是缺少偏移量的 CT：空气接近 {lost_offset}，而不是 -1000。</translation>
    </message>
    <message>
        <source>The values do not look like Hounsfield units ({span}); this may not be a CT.</source>
        <translation>数值不像亨氏单位（{span}）；这可能不是 CT。</translation>
    </message>
    <message>
        <source>The voxels ({shape}) do not fit the grid ({size}); three axes are needed.</source>
        <translation>体素（{shape}）与网格（{size}）不符；需要三个轴。</translation>
    </message>
    <message>
        <source>The voxels are of type {dtype}; a CT has whole or decimal numbers.</source>
        <translation>体素类型为 {dtype}；CT 应为整数或小数。</translation>
    </message>
    <message>
        <source>This is {modality} {modality2} series; the model is for CT.</source>
        <translation>这是 {modality2} 序列；模型仅适用于 CT。</translation>
    </message>
    <message>
        <source>This volume has no image data ({shape} voxels).</source>
        <translation>此图像没有图像数据（{shape} 体素）。</translation>
    </message>
    <message>
        <source>Try again later: it goes on where it stopped. {by_hand}</source>
        <translation>请稍后重试：将从中断处继续。{by_hand}</translation>
    </message>
    <message>
        <source>Try again with the device cpu; if that fails too, use another model file.</source>
        <translation>请用设备 cpu 重试；若仍失败，请使用其他模型文件。</translation>
    </message>
    <message>
        <source>Try again, or try the device &apos;cpu&apos;.</source>
        <translation>请重试，或改用设备 &apos;cpu&apos;。</translation>
    </message>
    <message>
        <source>Try again.</source>
        <translation>请重试。</translation>
    </message>
    <message>
        <source>Try again; if it happens again, try the device &apos;cpu&apos; and report it with the log.</source>
        <translation>请重试；若再次发生，请改用设备 &apos;cpu&apos;，并连同日志一起报告。</translation>
    </message>
    <message>
        <source>Update IUINet, or choose another model.</source>
        <translation>更新 IUINet，或选择其他模型。</translation>
    </message>
    <message>
        <source>Update IUINet, or export the model again.</source>
        <translation>更新 IUINet，或重新导出模型。</translation>
    </message>
    <message>
        <source>Update the NVIDIA driver to use it.</source>
        <translation>如要使用它，请更新 NVIDIA 驱动程序。</translation>
    </message>
    <message>
        <source>Update the NVIDIA driver to {oldest} or newer first. {advice}</source>
        <translation>请先把 NVIDIA 驱动程序更新到 {oldest} 或更新版本。{advice}</translation>
    </message>
    <message>
        <source>Update the driver or PyTorch, or use the device cpu.</source>
        <translation>更新驱动程序或 PyTorch，或使用设备 cpu。</translation>
    </message>
    <message>
        <source>Use auto, cpu, cuda, cuda:N or mps.</source>
        <translation>请使用 auto、cpu、cuda、cuda:N 或 mps。</translation>
    </message>
    <message>
        <source>Use https or a copy of the list, or set IUINET_ALLOW_HTTP=1 for a network that you trust.</source>
        <translation>使用 https 或该列表的副本；对您信任的网络也可设置 IUINET_ALLOW_HTTP=1。</translation>
    </message>
    <message>
        <source>Use the device auto or cpu, or install a build of PyTorch for it and a driver.</source>
        <translation>使用设备 auto 或 cpu，或为其安装相应的 PyTorch 版本和驱动程序。</translation>
    </message>
    <message>
        <source>Wait for it, or cancel it.</source>
        <translation>请等待其完成，或取消它。</translation>
    </message>
    <message>
        <source>Wait for it, or close it.</source>
        <translation>请等待其完成，或关闭它。</translation>
    </message>
    <message>
        <source>Wait until it has finished.</source>
        <translation>请等待其完成。</translation>
    </message>
    <message>
        <source>Wait until it is finished, or cancel it.</source>
        <translation>请等待其完成，或取消它。</translation>
    </message>
    <message>
        <source>What has come so far is kept.</source>
        <translation>已下载的部分会保留。</translation>
    </message>
    <message>
        <source>a folder has this name</source>
        <translation>已有同名文件夹</translation>
    </message>
    <message>
        <source>a scalar volume is needed, not {found}</source>
        <translation>需要标量图像，而不是 {found}</translation>
    </message>
    <message>
        <source>a segmentation is under way</source>
        <translation>正在进行分割</translation>
    </message>
    <message>
        <source>a test calculation gave a wrong result</source>
        <translation>测试计算结果错误</translation>
    </message>
    <message>
        <source>an unexpected {name} stopped the work</source>
        <translation>意外的 {name} 中止了工作</translation>
    </message>
    <message>
        <source>another module is installing packages</source>
        <translation>另一个模块正在安装软件包</translation>
    </message>
    <message>
        <source>another part</source>
        <translation>另一部分</translation>
    </message>
    <message>
        <source>another program is downloading {id} {version} already</source>
        <translation>另一个程序正在下载 {id} {version}</translation>
    </message>
    <message>
        <source>at least {min_voxels} and {min_extent_mm} mm are needed</source>
        <translation>至少需要 {min_voxels} 且 {min_extent_mm} mm</translation>
    </message>
    <message>
        <source>bytes</source>
        <translation>字节</translation>
    </message>
    <message>
        <source>cannot be reached: the proxy wants a login</source>
        <translation>无法访问：代理要求登录</translation>
    </message>
    <message>
        <source>column</source>
        <translation>列</translation>
    </message>
    <message>
        <source>columns</source>
        <translation>列</translation>
    </message>
    <message>
        <source>does not have the file</source>
        <translation>没有该文件</translation>
    </message>
    <message>
        <source>each voxel of the volume holds {components} values instead of one</source>
        <translation>图像的每个体素有 {components} 个值，而不是一个</translation>
    </message>
    <message>
        <source>exit code {code}</source>
        <translation>退出代码 {code}</translation>
    </message>
    <message>
        <source>file {file} is not a plain name that ends with {suffix}</source>
        <translation>file {file} 不是以 {suffix} 结尾的普通名称</translation>
    </message>
    <message>
        <source>files that have to be replaced are in use by Slicer</source>
        <translation>需要替换的文件正被 Slicer 使用</translation>
    </message>
    <message>
        <source>forbids the download</source>
        <translation>禁止下载</translation>
    </message>
    <message>
        <source>it has {size} bytes where {due} are due</source>
        <translation>它有 {size} 字节，而应为 {due} 字节</translation>
    </message>
    <message>
        <source>it is larger than files may be there</source>
        <translation>文件大小超过该处的上限</translation>
    </message>
    <message>
        <source>it is not a safetensors file, or only the beginning of one</source>
        <translation>它不是 safetensors 文件，或只是其开头部分</translation>
    </message>
    <message>
        <source>it was killed</source>
        <translation>它被强制终止</translation>
    </message>
    <message>
        <source>its driver is too old: it has CUDA {has}, PyTorch needs {cuda}</source>
        <translation>其驱动程序太旧：支持 CUDA {has}，而 PyTorch 需要 {cuda}</translation>
    </message>
    <message>
        <source>its folder does not exist</source>
        <translation>其文件夹不存在</translation>
    </message>
    <message>
        <source>its format {format} is newer than this version of IUINet</source>
        <translation>其格式 {format} 比此版本的 IUINet 更新</translation>
    </message>
    <message>
        <source>its header cannot be read</source>
        <translation>无法读取其文件头</translation>
    </message>
    <message>
        <source>its input size {size} is not a number of voxels</source>
        <translation>其输入大小 {size} 不是体素数</translation>
    </message>
    <message>
        <source>its network has {classes} classes, its organs and the background are {wanted}</source>
        <translation>其网络有 {classes} 个类别，而器官与背景共 {wanted} 个</translation>
    </message>
    <message>
        <source>its second pass {second} names no organs of it, or no margin in mm</source>
        <translation>其第二遍 {second} 未列出它的器官，或没有以 mm 为单位的边距</translation>
    </message>
    <message>
        <source>its smallest field of view {smallest} is not three lengths in mm</source>
        <translation>其最小视野 {smallest} 不是三个以 mm 为单位的长度</translation>
    </message>
    <message>
        <source>its window {window} is not two values in HU</source>
        <translation>其窗 {window} 不是两个 HU 值</translation>
    </message>
    <message>
        <source>labels of shape {shape} do not fit the volume of shape {shape2}</source>
        <translation>形状为 {shape} 的标签与形状为 {shape2} 的图像不符</translation>
    </message>
    <message>
        <source>no GPU was found</source>
        <translation>未找到 GPU</translation>
    </message>
    <message>
        <source>no address is listed for the model {id} {version}</source>
        <translation>列表中没有模型 {id} {version} 的地址</translation>
    </message>
    <message>
        <source>no connection to {host}{through} ({detail})</source>
        <translation>无法连接 {host}{through}（{detail}）</translation>
    </message>
    <message>
        <source>no longer has the file</source>
        <translation>已不再提供该文件</translation>
    </message>
    <message>
        <source>no organ is chosen</source>
        <translation>未选择器官</translation>
    </message>
    <message>
        <source>no version of them fits this Python, this system and what is installed</source>
        <translation>没有版本适合此 Python、此系统和已安装的软件包</translation>
    </message>
    <message>
        <source>nothing can be stored in {or} for a while: {error}</source>
        <translation>暂时无法在 {or} 中存储：{error}</translation>
    </message>
    <message>
        <source>organs is not a list of organs</source>
        <translation>organs 不是器官列表</translation>
    </message>
    <message>
        <source>pip gave no reason</source>
        <translation>pip 未给出原因</translation>
    </message>
    <message>
        <source>preset {preset} is not a word</source>
        <translation>preset {preset} 不是一个单词</translation>
    </message>
    <message>
        <source>refuses the download</source>
        <translation>拒绝下载</translation>
    </message>
    <message>
        <source>row</source>
        <translation>行</translation>
    </message>
    <message>
        <source>rows</source>
        <translation>行</translation>
    </message>
    <message>
        <source>sha256 {sha256} is not a SHA-256</source>
        <translation>sha256 {sha256} 不是 SHA-256</translation>
    </message>
    <message>
        <source>signal {name}</source>
        <translation>信号 {name}</translation>
    </message>
    <message>
        <source>size {size} is not a number of bytes</source>
        <translation>size {size} 不是字节数</translation>
    </message>
    <message>
        <source>slice</source>
        <translation>层</translation>
    </message>
    <message>
        <source>slices</source>
        <translation>层</translation>
    </message>
    <message>
        <source>the PyTorch extension could not be installed</source>
        <translation>无法安装 PyTorch 扩展</translation>
    </message>
    <message>
        <source>the PyTorch extension is installed</source>
        <translation>PyTorch 扩展已安装</translation>
    </message>
    <message>
        <source>the PyTorch extension, which looks after the library that runs the model, is not installed</source>
        <translation>未安装 PyTorch 扩展，模型运行所需的库由它管理</translation>
    </message>
    <message>
        <source>the address {address} is not a web address</source>
        <translation>地址 {address} 不是网址</translation>
    </message>
    <message>
        <source>the certificate file {named} of REQUESTS_CA_BUNDLE cannot be read: {strerror}</source>
        <translation>无法读取 REQUESTS_CA_BUNDLE 的证书文件 {named}：{strerror}</translation>
    </message>
    <message>
        <source>the certificate of {host} is not trusted{through} ({verify_message})</source>
        <translation>{host} 的证书不受信任{through}（{verify_message}）</translation>
    </message>
    <message>
        <source>the color {value} is not red, green and blue from 0 to 255</source>
        <translation>颜色 {value} 不是 0 到 255 的红、绿、蓝值</translation>
    </message>
    <message>
        <source>the connection is not trusted, probably because a proxy inspects it</source>
        <translation>连接不受信任，可能因为有代理在检查它</translation>
    </message>
    <message>
        <source>the description in the model file {name} is wrong: {reason}</source>
        <translation>模型文件 {name} 中的描述有误：{reason}</translation>
    </message>
    <message>
        <source>the device {name} ({name2}) cannot be used: {reason}</source>
        <translation>设备 {name}（{name2}）无法使用：{reason}</translation>
    </message>
    <message>
        <source>the device {name} is not here: {gpus}</source>
        <translation>没有设备 {name}：{gpus}</translation>
    </message>
    <message>
        <source>the disk is full</source>
        <translation>磁盘已满</translation>
    </message>
    <message>
        <source>the download stopped at {size}: {failure}</source>
        <translation>下载在 {size} 处停止：{failure}</translation>
    </message>
    <message>
        <source>the download was cancelled</source>
        <translation>下载已取消</translation>
    </message>
    <message>
        <source>the downloaded file is not the model {id} {version} and was not installed: its SHA-256 is {found}... instead of {sha256}...</source>
        <translation>下载的文件不是模型 {id} {version}，未安装：其 SHA-256 为 {found}...，而应为 {sha256}...</translation>
    </message>
    <message>
        <source>the drive is read-only</source>
        <translation>磁盘为只读</translation>
    </message>
    <message>
        <source>the drive reports an error</source>
        <translation>磁盘报告错误</translation>
    </message>
    <message>
        <source>the file that the list calls {id} {version} says that it is {id2} {version2}; it was not installed</source>
        <translation>列表中称为 {id} {version} 的文件自称是 {id2} {version2}；未安装</translation>
    </message>
    <message>
        <source>the file {name} is safetensors, but says nothing about its network and organs</source>
        <translation>文件 {name} 是 safetensors，但没有说明其网络和器官</translation>
    </message>
    <message>
        <source>the folder {named} cannot be found: there is no such home folder</source>
        <translation>找不到文件夹 {named}：没有这样的主文件夹</translation>
    </message>
    <message>
        <source>the labels {unknown} belong to no organ</source>
        <translation>标签 {unknown} 不属于任何器官</translation>
    </message>
    <message>
        <source>the list of models at {address} has not been fetched yet</source>
        <translation>尚未获取位于 {address} 的模型列表</translation>
    </message>
    <message>
        <source>the list of models calls the file {file} {id} {version}, but the file says that it is {id2} {version2}</source>
        <translation>模型列表称文件 {file} 为 {id} {version}，但文件自称是 {id2} {version2}</translation>
    </message>
    <message>
        <source>the list of models cannot be fetched: {failure}</source>
        <translation>无法获取模型列表：{failure}</translation>
    </message>
    <message>
        <source>the list of models cannot be kept: {message}</source>
        <translation>无法保存模型列表：{message}</translation>
    </message>
    <message>
        <source>the list of models is not fetched. {address}</source>
        <translation>未获取模型列表。{address}</translation>
    </message>
    <message>
        <source>the list of models {manifest_path} names no default model</source>
        <translation>模型列表 {manifest_path} 没有指定默认模型</translation>
    </message>
    <message>
        <source>the list of models {path} cannot be used: {error}</source>
        <translation>模型列表 {path} 无法使用：{error}</translation>
    </message>
    <message>
        <source>the liver lies left of the spleen</source>
        <translation>肝脏位于脾脏左侧</translation>
    </message>
    <message>
        <source>the memory of the computer does not suffice for this volume</source>
        <translation>本机内存不足以处理此图像</translation>
    </message>
    <message>
        <source>the model cannot be downloaded: {failure}</source>
        <translation>无法下载模型：{failure}</translation>
    </message>
    <message>
        <source>the model cannot be stored in {folder}: {strerror}</source>
        <translation>无法将模型存储到 {folder}：{strerror}</translation>
    </message>
    <message>
        <source>the model file {name} describes a network that cannot be built: {error}</source>
        <translation>模型文件 {name} 描述的网络无法构建：{error}</translation>
    </message>
    <message>
        <source>the model file {name} has format {format}; this version reads up to format {format2}</source>
        <translation>模型文件 {name} 的格式为 {format}；此版本最高可读格式 {format2}</translation>
    </message>
    <message>
        <source>the model file {name} is damaged or not the expected one: its SHA-256 is {found}... instead of {lower}...</source>
        <translation>模型文件 {name} 已损坏或不是预期的文件：其 SHA-256 为 {found}...，而应为 {lower}...</translation>
    </message>
    <message>
        <source>the model file {name} is damaged: {reason}</source>
        <translation>模型文件 {name} 已损坏：{reason}</translation>
    </message>
    <message>
        <source>the model file {name} is damaged: {why}</source>
        <translation>模型文件 {name} 已损坏：{why}</translation>
    </message>
    <message>
        <source>the model file {path} cannot be read: {strerror}</source>
        <translation>无法读取模型文件 {path}：{strerror}</translation>
    </message>
    <message>
        <source>the model knows no organ {listed}</source>
        <translation>模型不识别器官 {listed}</translation>
    </message>
    <message>
        <source>the model {identifier} is not in your folder {folder}</source>
        <translation>模型 {identifier} 不在您的文件夹 {folder} 中</translation>
    </message>
    <message>
        <source>the model {id} cannot be stored: {message}</source>
        <translation>无法存储模型 {id}：{message}</translation>
    </message>
    <message>
        <source>the model {id} needs</source>
        <translation>模型 {id} 需要</translation>
    </message>
    <message>
        <source>the model {id} {version} is not on this computer</source>
        <translation>模型 {id} {version} 不在本机</translation>
    </message>
    <message>
        <source>the model {path} cannot be removed: {strerror}</source>
        <translation>无法删除模型 {path}：{strerror}</translation>
    </message>
    <message>
        <source>the model&apos;s id {id} or version {version} is not a plain name</source>
        <translation>模型的标识 {id} 或版本 {version} 不是普通名称</translation>
    </message>
    <message>
        <source>the name is too long</source>
        <translation>名称太长</translation>
    </message>
    <message>
        <source>the name {host} cannot be found{through}</source>
        <translation>找不到名称 {host}{through}</translation>
    </message>
    <message>
        <source>the name {path} cannot be used, because its bytes are not UTF-8</source>
        <translation>名称 {path} 无法使用，因为其字节不是 UTF-8</translation>
    </message>
    <message>
        <source>the network returned values that are not numbers</source>
        <translation>网络返回了非数值结果</translation>
    </message>
    <message>
        <source>the organs of the model {id} cannot be read: {reason}</source>
        <translation>无法读取模型 {id} 的器官：{reason}</translation>
    </message>
    <message>
        <source>the organs&apos; labels {labels} are not distinct numbers from 1 to 255</source>
        <translation>器官标签 {labels} 不是 1 到 255 之间互不相同的数</translation>
    </message>
    <message>
        <source>the organs&apos; names {names} are not distinct words</source>
        <translation>器官名称 {names} 不是互不相同的词</translation>
    </message>
    <message>
        <source>the packages could not be installed: {last}</source>
        <translation>无法安装软件包：{last}</translation>
    </message>
    <message>
        <source>the packages could not be installed: {meaning}</source>
        <translation>无法安装软件包：{meaning}</translation>
    </message>
    <message>
        <source>the packages could not be installed: {meaning} ({last})</source>
        <translation>无法安装软件包：{meaning}（{last}）</translation>
    </message>
    <message>
        <source>the packages need about</source>
        <translation>软件包约需</translation>
    </message>
    <message>
        <source>the packages were installed, but Slicer does not see them yet</source>
        <translation>软件包已安装，但 Slicer 尚未识别</translation>
    </message>
    <message>
        <source>the pieces {pieces} of {name} are neither {largest} nor {all}</source>
        <translation>{name} 的 pieces {pieces} 既不是 {largest} 也不是 {all}</translation>
    </message>
    <message>
        <source>the proxy does not let it through</source>
        <translation>代理不允许通过</translation>
    </message>
    <message>
        <source>the region {name} does not touch the volume</source>
        <translation>区域 {name} 与图像不相交</translation>
    </message>
    <message>
        <source>the region {name} has no extent</source>
        <translation>区域 {name} 没有大小</translation>
    </message>
    <message>
        <source>the result needs a segmentation, not {classname}</source>
        <translation>结果需要分割节点，而不是 {classname}</translation>
    </message>
    <message>
        <source>the right kidney lies left of the left one</source>
        <translation>右肾位于左肾左侧</translation>
    </message>
    <message>
        <source>the run did not end</source>
        <translation>运行没有结束</translation>
    </message>
    <message>
        <source>the segmentation program cannot be started with {command}: {strerror}</source>
        <translation>无法用 {command} 启动分割程序：{strerror}</translation>
    </message>
    <message>
        <source>the segmentation program has not answered for {longest_silence_s} minutes</source>
        <translation>分割程序已有 {longest_silence_s} 分钟没有响应</translation>
    </message>
    <message>
        <source>the segmentation program speaks protocol {protocol} instead of {version}</source>
        <translation>分割程序使用协议 {protocol}，而应为 {version}</translation>
    </message>
    <message>
        <source>the segmentation program stopped unexpectedly ({how})</source>
        <translation>分割程序意外停止（{how}）</translation>
    </message>
    <message>
        <source>the segmentation was cancelled</source>
        <translation>分割已取消</translation>
    </message>
    <message>
        <source>the segmentation {name} already has {count} segments</source>
        <translation>分割 {name} 已有 {count} 个分割区段</translation>
    </message>
    <message>
        <source>the segmentation {name} is under another transform than the volume</source>
        <translation>分割 {name} 与图像处于不同的变换下</translation>
    </message>
    <message>
        <source>the set-up was declined</source>
        <translation>未同意安装</translation>
    </message>
    <message>
        <source>the time points have different sizes, so that one region does not fit them all</source>
        <translation>各时间点大小不同，一个区域不能适用于全部</translation>
    </message>
    <message>
        <source>the volume has no image data</source>
        <translation>图像没有数据</translation>
    </message>
    <message>
        <source>the volume holds one bit per voxel</source>
        <translation>图像的每个体素只有一位</translation>
    </message>
    <message>
        <source>the volume is a label map, not an image</source>
        <translation>该数据是标签图，不是图像</translation>
    </message>
    <message>
        <source>the volume is under the non-linear transform {name}</source>
        <translation>图像处于非线性变换 {name} 下</translation>
    </message>
    <message>
        <source>the volume&apos;s axes do not span a space; its spacing is {more} mm</source>
        <translation>图像的坐标轴不能构成空间；其间距为 {more} mm</translation>
    </message>
    <message>
        <source>there is no connection to the package index</source>
        <translation>无法连接软件包索引</translation>
    </message>
    <message>
        <source>there is no model file {path}</source>
        <translation>没有模型文件 {path}</translation>
    </message>
    <message>
        <source>there is no model with the id {identifier}</source>
        <translation>没有标识为 {identifier} 的模型</translation>
    </message>
    <message>
        <source>there is no right to write there</source>
        <translation>没有写入权限</translation>
    </message>
    <message>
        <source>this is Slicer {version}, and IUINet needs Slicer {oldest_slicer} or newer</source>
        <translation>当前为 Slicer {version}，IUINet 需要 Slicer {oldest_slicer} 或更新版本</translation>
    </message>
    <message>
        <source>through the proxy {proxy}</source>
        <translation>（经代理 {proxy}）</translation>
    </message>
    <message>
        <source>time point {number} of {count}: {message}</source>
        <translation>时间点 {number}/{count}：{message}</translation>
    </message>
    <message>
        <source>wants a login</source>
        <translation>要求登录</translation>
    </message>
    <message>
        <source>what {address} sent is not a list of models</source>
        <translation>{address} 发来的不是模型列表</translation>
    </message>
    <message>
        <source>with under {few_voxels} or {short_extent_mm} mm the result is unreliable</source>
        <translation>少于 {few_voxels} 或 {short_extent_mm} mm 时结果不可靠</translation>
    </message>
    <message>
        <source>your share of the disk is used up</source>
        <translation>您的磁盘配额已用完</translation>
    </message>
    <message>
        <source>{address} ended the connection</source>
        <translation>{address} 中断了连接</translation>
    </message>
    <message>
        <source>{address} offers {found}{isdigit} where {size} bytes are due</source>
        <translation>{address} 提供 {found}{isdigit}，而应为 {size} 字节</translation>
    </message>
    <message>
        <source>{address} sends less than {least_rate} a second</source>
        <translation>{address} 每秒发送不足 {least_rate}</translation>
    </message>
    <message>
        <source>{address} stopped sending</source>
        <translation>{address} 停止发送</translation>
    </message>
    <message>
        <source>{bad} of {size} voxels are not numbers (NaN or infinite).</source>
        <translation>{size} 个体素中有 {bad} 个不是数值（NaN 或无穷大）。</translation>
    </message>
    <message>
        <source>{before}, and the driver {driver} is too old for any other</source>
        <translation>{before}，且驱动程序 {driver} 太旧，不能用其他版本</translation>
    </message>
    <message>
        <source>{count} {words} of {spacing} mm make {extent} m.</source>
        <translation>{count} {words}，间隔 {spacing} mm，合计 {extent} m。</translation>
    </message>
    <message>
        <source>{details} Please report it.</source>
        <translation>{details}请报告此问题。</translation>
    </message>
    <message>
        <source>{device} cannot be used ({reason}): the CPU is used instead.</source>
        <translation>{device} 无法使用（{reason}）：改用 CPU。</translation>
    </message>
    <message>
        <source>{device} failed ({reason}): the CPU is used instead, which takes longer.</source>
        <translation>{device} 出错（{reason}）：改用 CPU，耗时较长。</translation>
    </message>
    <message>
        <source>{device} returned values that are not numbers: the CPU is used instead.</source>
        <translation>{device} 返回了非数值结果：改用 CPU。</translation>
    </message>
    <message>
        <source>{error} is missing</source>
        <translation>缺少 {error}</translation>
    </message>
    <message>
        <source>{hint} IUINET_HOME names another folder for models.</source>
        <translation>{hint}可用 IUINET_HOME 指定其他模型文件夹。</translation>
    </message>
    <message>
        <source>{hint} To segment it anyway, accept the warnings (in the command: --accept-warnings).</source>
        <translation>{hint}若仍要分割，请接受警告（命令行：--accept-warnings）。</translation>
    </message>
    <message>
        <source>{host} answers with the status {code}</source>
        <translation>{host} 返回状态 {code}</translation>
    </message>
    <message>
        <source>{host} does not answer{through}</source>
        <translation>{host} 没有响应{through}</translation>
    </message>
    <message>
        <source>{host} leads from {old} to {new}, which is not followed</source>
        <translation>{host} 从 {old} 转到 {new}，不予跟随</translation>
    </message>
    <message>
        <source>{host} refuses the connection</source>
        <translation>{host} 拒绝连接</translation>
    </message>
    <message>
        <source>{host} {meaning} (status {code})</source>
        <translation>{host} {meaning}（状态 {code}）</translation>
    </message>
    <message>
        <source>{key} is not an object</source>
        <translation>{key} 不是对象</translation>
    </message>
    <message>
        <source>{key} {key2} is not a plain name of at most 100 letters</source>
        <translation>{key} {key2} 不是至多 100 个字母的普通名称</translation>
    </message>
    <message>
        <source>{key} {key2} is not text</source>
        <translation>{key} {key2} 不是文本</translation>
    </message>
    <message>
        <source>{key} {words} is not a list of words</source>
        <translation>{key} {words} 不是词的列表</translation>
    </message>
    <message>
        <source>{message}, {free} GB are free.</source>
        <translation>{message}，可用 {free} GB。</translation>
    </message>
    <message>
        <source>{more} were found</source>
        <translation>找到 {more}</translation>
    </message>
    <message>
        <source>{more}half precision is used, and parts wait in main memory.</source>
        <translation>{more}改用半精度，部分数据暂存于主内存。</translation>
    </message>
    <message>
        <source>{more}half precision is used; borders of organs can differ by single voxels.</source>
        <translation>{more}改用半精度；器官边界可能相差个别体素。</translation>
    </message>
    <message>
        <source>{more}the CPU is used instead, which takes longer.</source>
        <translation>{more}改用 CPU，耗时较长。</translation>
    </message>
    <message>
        <source>{more}unused parts were freed for a second try.</source>
        <translation>{more}已释放未使用的部分后再试。</translation>
    </message>
    <message>
        <source>{name} calls itself {id} {version}, but that model has another SHA-256 ({sha256}... instead of {sha2562}...)</source>
        <translation>{name} 自称 {id} {version}，但该模型的 SHA-256 不同（{sha256}...，而不是 {sha2562}...）</translation>
    </message>
    <message>
        <source>{name} is a pickle or zip checkpoint, which is never opened, because loading one runs whatever program it contains</source>
        <translation>{name} 是 pickle 或 zip 检查点，绝不会打开，因为加载它会运行其中的任何程序</translation>
    </message>
    <message>
        <source>{name} is no record of a model and was left out: {error}</source>
        <translation>{name} 不是模型记录，已略过：{error}</translation>
    </message>
    <message>
        <source>{name} is not a device</source>
        <translation>{name} 不是设备</translation>
    </message>
    <message>
        <source>{need} {needed} in {folder}, and {free} are free</source>
        <translation>{need} {needed}（位于 {folder}），可用 {free}</translation>
    </message>
    <message>
        <source>{path} cannot be written: {reason}</source>
        <translation>无法写入 {path}：{reason}</translation>
    </message>
    <message>
        <source>{path} exists already</source>
        <translation>{path} 已存在</translation>
    </message>
    <message>
        <source>{text} cannot be part of a term</source>
        <translation>{text} 不能作为术语的一部分</translation>
    </message>
    <message>
        <source>{what}; {limit}.</source>
        <translation>{what}；{limit}。</translation>
    </message>
</context>
<context>
    <name>organs</name>
    <message>
        <source>spleen</source>
        <translation>脾脏</translation>
    </message>
    <message>
        <source>right kidney</source>
        <translation>右肾</translation>
    </message>
    <message>
        <source>left kidney</source>
        <translation>左肾</translation>
    </message>
    <message>
        <source>gallbladder</source>
        <translation>胆囊</translation>
    </message>
    <message>
        <source>esophagus</source>
        <translation>食管</translation>
    </message>
    <message>
        <source>liver</source>
        <translation>肝脏</translation>
    </message>
    <message>
        <source>stomach</source>
        <translation>胃</translation>
    </message>
    <message>
        <source>aorta</source>
        <translation>主动脉</translation>
    </message>
    <message>
        <source>inferior vena cava</source>
        <translation>下腔静脉</translation>
    </message>
    <message>
        <source>portal and splenic veins</source>
        <translation>门静脉和脾静脉</translation>
    </message>
    <message>
        <source>pancreas</source>
        <translation>胰腺</translation>
    </message>
    <message>
        <source>right adrenal gland</source>
        <translation>右肾上腺</translation>
    </message>
    <message>
        <source>left adrenal gland</source>
        <translation>左肾上腺</translation>
    </message>
</context>
<context>
    <name>panel.log</name>
    <message>
        <source>Save the log</source>
        <translation>保存日志</translation>
    </message>
    <message>
        <source>Text (*.txt)</source>
        <translation>文本 (*.txt)</translation>
    </message>
</context>
<context>
    <name>panel.models</name>
    <message>
        <source>Automatic</source>
        <translation>自动</translation>
    </message>
    <message>
        <source>CPU</source>
        <translation>CPU</translation>
    </message>
    <message>
        <source>No model is known.</source>
        <translation>没有已知的模型。</translation>
    </message>
    <message>
        <source>Install a model from a file</source>
        <translation>从文件安装模型</translation>
    </message>
    <message>
        <source>Models (*.safetensors)</source>
        <translation>模型 (*.safetensors)</translation>
    </message>
    <message>
        <source>{organs} organs</source>
        <translation>{organs} 个器官</translation>
    </message>
    <message>
        <source>File: {size:.0f} MB, SHA-256 {sha}…</source>
        <translation>文件：{size:.0f} MB，SHA-256 {sha}…</translation>
    </message>
    <message>
        <source>It is downloaded when it is first used.</source>
        <translation>首次使用时下载。</translation>
    </message>
    <message>
        <source>Its file is not here.</source>
        <translation>其文件不在本机。</translation>
    </message>
    <message>
        <source>{verdict}: {names}.</source>
        <translation>{verdict}：{names}。</translation>
    </message>
    <message>
        <source>Licence: {name}.</source>
        <translation>许可：{name}。</translation>
    </message>
    <message>
        <source>{name}, {free:.1f} GB free</source>
        <translation>{name}，可用 {free:.1f} GB</translation>
    </message>
    <message>
        <source>Delete the model {name} from this computer?</source>
        <translation>从本机删除模型 {name}？</translation>
    </message>
</context>
<context>
    <name>panel.panel</name>
    <message>
        <source>IUINet is being set up.</source>
        <translation>正在安装 IUINet 的组件。</translation>
    </message>
    <message>
        <source>A segmentation is under way.</source>
        <translation>正在进行分割。</translation>
    </message>
    <message>
        <source>Select a CT volume, or try a sample.</source>
        <translation>请选择 CT 图像，或试用示例。</translation>
    </message>
    <message>
        <source>This volume cannot be segmented; see the line below it.</source>
        <translation>此图像无法分割，原因见其下方。</translation>
    </message>
    <message>
        <source>Decide about the warning below the volume first.</source>
        <translation>请先对图像下方的警告作出决定。</translation>
    </message>
    <message>
        <source>Choose at least one organ.</source>
        <translation>请至少选择一个器官。</translation>
    </message>
    <message>
        <source>Another module is installing packages. Wait until it has finished.</source>
        <translation>另一个模块正在安装软件包。请等待其完成。</translation>
    </message>
    <message>
        <source>There is no model.</source>
        <translation>没有模型。</translation>
    </message>
    <message>
        <source>The scene was closed: the segmentation was stopped.</source>
        <translation>场景已关闭：分割已停止。</translation>
    </message>
    <message>
        <source>IUINet: set up</source>
        <translation>IUINet：安装组件</translation>
    </message>
    <message>
        <source>Segment all {count} time points</source>
        <translation>分割全部 {count} 个时间点</translation>
    </message>
</context>
<context>
    <name>panel.progress</name>
    <message>
        <source>Reading</source>
        <translation>正在读取</translation>
    </message>
    <message>
        <source>Preparing</source>
        <translation>正在准备</translation>
    </message>
    <message>
        <source>Segmenting</source>
        <translation>正在分割</translation>
    </message>
    <message>
        <source>Finishing</source>
        <translation>正在完成</translation>
    </message>
    <message>
        <source>Setting up: downloading</source>
        <translation>正在安装组件：下载中</translation>
    </message>
    <message>
        <source>Downloading the model</source>
        <translation>正在下载模型</translation>
    </message>
    <message>
        <source>Checking</source>
        <translation>正在检查</translation>
    </message>
    <message>
        <source>Setting up</source>
        <translation>正在安装组件</translation>
    </message>
    <message>
        <source>Starting</source>
        <translation>正在启动</translation>
    </message>
    <message>
        <source>Showing the result</source>
        <translation>正在显示结果</translation>
    </message>
    <message>
        <source>Segment the chosen volume</source>
        <translation>分割所选图像</translation>
    </message>
    <message>
        <source>Finished in {seconds:.0f} s.</source>
        <translation>完成，用时 {seconds:.0f} 秒。</translation>
    </message>
    <message>
        <source>Cancelled after {seconds:.0f} s.</source>
        <translation>{seconds:.0f} 秒后已取消。</translation>
    </message>
    <message>
        <source>Time point {number} of {count}</source>
        <translation>时间点 {number}/{count}</translation>
    </message>
    <message>
        <source>, {time} left</source>
        <translation>，剩余{time}</translation>
    </message>
    <message>
        <source>The result below is the earlier one.</source>
        <translation>下方是之前的结果。</translation>
    </message>
</context>
<context>
    <name>panel.remedies</name>
    <message>
        <source>To install by hand:</source>
        <translation>手动安装：</translation>
    </message>
    <message>
        <source>1. On a computer with a connection, the same system and the same Python version, run</source>
        <translation>1. 在一台联网、系统和 Python 版本相同的计算机上运行</translation>
    </message>
    <message>
        <source>2. Bring the folder packages to this computer, and run in Slicer&apos;s Python console:</source>
        <translation>2. 把文件夹 packages 带到本机，并在 Slicer 的 Python 控制台中运行：</translation>
    </message>
    <message>
        <source>Choose a folder for models</source>
        <translation>选择模型文件夹</translation>
    </message>
    <message>
        <source>{name} (transform applied)</source>
        <translation>{name}（已应用变换）</translation>
    </message>
    <message>
        <source>Region to segment</source>
        <translation>分割区域</translation>
    </message>
    <message>
        <source>3. Start Slicer again. The packages go to {folder}.</source>
        <translation>3. 重新启动 Slicer。软件包安装到 {folder}。</translation>
    </message>
</context>
<context>
    <name>panel.result</name>
    <message>
        <source>Organ</source>
        <translation>器官</translation>
    </message>
    <message>
        <source>ml</source>
        <translation>体积 (ml)</translation>
    </message>
    <message>
        <source>Mean HU</source>
        <translation>平均 HU</translation>
    </message>
    <message>
        <source>Remarks</source>
        <translation>备注</translation>
    </message>
    <message>
        <source>Nothing was found. Is this the right body region?</source>
        <translation>未找到任何器官。扫描部位是否正确？</translation>
    </message>
    <message>
        <source>the CPU</source>
        <translation>CPU</translation>
    </message>
    <message>
        <source>Check each organ before use (a click on its row shows it); not a diagnosis.</source>
        <translation>使用前请逐一核对器官：单击所在行即可显示。不作为诊断依据。</translation>
    </message>
    <message>
        <source>To keep the result: Slicer&apos;s menu File, Save Data. As DICOM SEG: in the module Data, right-click the segmentation and choose Export to DICOM.</source>
        <translation>保存结果：使用 Slicer 菜单“文件”中的“保存数据”。导出为 DICOM SEG：在“数据”模块中右键单击该分割，选择“导出到 DICOM”。</translation>
    </message>
    <message>
        <source>To keep the result: Slicer&apos;s menu File, Save Data. Not as DICOM SEG: for that, the CT has to be loaded by Slicer&apos;s module DICOM.</source>
        <translation>保存结果：使用 Slicer 菜单“文件”中的“保存数据”。无法导出为 DICOM SEG：为此，CT 须通过 Slicer 的 DICOM 模块加载。</translation>
    </message>
    <message>
        <source>A hidden organ is saved and exported all the same; to leave one out, remove it in Segment Editor.</source>
        <translation>隐藏的器官同样会被保存和导出；如不需要某个器官，请在分割编辑器中将其移除。</translation>
    </message>
    <message>
        <source>usable after a look</source>
        <translation>核对后可用</translation>
    </message>
    <message>
        <source>to be corrected</source>
        <translation>需修正</translation>
    </message>
    <message>
        <source>a sketch, not to be used</source>
        <translation>仅为粗略轮廓，不可使用</translation>
    </message>
    <message>
        <source>not measured on real scans</source>
        <translation>未在真实扫描上评估</translation>
    </message>
    <message>
        <source>Only inside the box: volumes and mean HU are of the part inside it.</source>
        <translation>仅限框内：体积和平均 HU 只计框内部分。</translation>
    </message>
    <message>
        <source>⚠ Shown over the same CT, too: {names}. The eye in the module Data hides it.</source>
        <translation>⚠ 同一 CT 上还显示着：{names}。可用“数据”模块中的眼睛图标隐藏。</translation>
    </message>
    <message>
        <source>The replaced organs are back.</source>
        <translation>已恢复被替换的器官。</translation>
    </message>
    <message>
        <source>superior</source>
        <translation>头侧</translation>
    </message>
    <message>
        <source>inferior</source>
        <translation>足侧</translation>
    </message>
    <message>
        <source>anterior</source>
        <translation>前侧</translation>
    </message>
    <message>
        <source>posterior</source>
        <translation>后侧</translation>
    </message>
    <message>
        <source>right</source>
        <translation>右侧</translation>
    </message>
    <message>
        <source>left</source>
        <translation>左侧</translation>
    </message>
    <message>
        <source>incomplete: cut by the box ({sides})</source>
        <translation>不完整：被框截断（{sides}）</translation>
    </message>
    <message>
        <source>low confidence</source>
        <translation>置信度低</translation>
    </message>
    <message>
        <source>Click: show it in the slice views. Tick: show or hide it.</source>
        <translation>单击：在切片视图中显示。勾选：显示或隐藏。</translation>
    </message>
    <message>
        <source>{found} of {all} structures found in {seconds:.0f} s on {device}.</source>
        <translation>在 {device} 上用时 {seconds:.0f} 秒，找到 {found}/{all} 个结构。</translation>
    </message>
    <message>
        <source>, </source>
        <translation>、</translation>
    </message>
    <message>
        <source>All {count} time points were segmented; this is the one that was shown.</source>
        <translation>全部 {count} 个时间点均已分割；这里是当时显示的一个。</translation>
    </message>
    <message>
        <source>⚠ Only sketched, so not counted: {names}.</source>
        <translation>⚠ 仅为粗略轮廓，未计入：{names}。</translation>
    </message>
    <message>
        <source>Not found: {names}.</source>
        <translation>未找到：{names}。</translation>
    </message>
    <message>
        <source>; </source>
        <translation>；</translation>
    </message>
    <message>
        <source>incomplete: cut by the scan&apos;s edge ({sides})</source>
        <translation>不完整：超出扫描范围（{sides}）</translation>
    </message>
</context>
<context>
    <name>panel.status</name>
    <message>
        <source>about 5 s</source>
        <translation>约 5 秒</translation>
    </message>
    <message>
        <source>IUINet is being set up…</source>
        <translation>正在安装 IUINet 的组件…</translation>
    </message>
    <message>
        <source>the CPU will be used</source>
        <translation>将使用 CPU</translation>
    </message>
    <message>
        <source>Ready – {where}. The GPU {name} is not used: {reason}. {advice}</source>
        <translation>就绪 – {where}。未使用 GPU {name}：{reason}。{advice}</translation>
    </message>
    <message>
        <source>Set-up needed (about {size:.1f} GB to download)</source>
        <translation>需要安装组件（约需下载 {size:.1f} GB）</translation>
    </message>
    <message>
        <source>Needed once, to run the model: {needed}.

{replaced}It goes to {folder} and takes about {disk:.1f} GB of disk space, of which {free:.0f} GB are free.

Nothing about your images leaves this computer.</source>
        <translation>运行模型所需，仅需安装一次：{needed}。

{replaced}安装到 {folder}，约占磁盘空间 {disk:.1f} GB，可用 {free:.0f} GB。

您的图像及其任何信息都不会离开本机。</translation>
    </message>
    <message>
        <source>about {minutes:.0f} min</source>
        <translation>约 {minutes:.0f} 分钟</translation>
    </message>
    <message>
        <source>Ready – the GPU cannot be used ({reason}): {where}. {advice}</source>
        <translation>就绪 – GPU 无法使用（{reason}）：{where}。{advice}</translation>
    </message>
    <message>
        <source>Ready – the GPU cannot be used ({reason}): {where}</source>
        <translation>就绪 – GPU 无法使用（{reason}）：{where}</translation>
    </message>
    <message>
        <source>PyTorch {version}, with which IUINet does not work, is replaced for all extensions.

</source>
        <translation>PyTorch {version} 不能用于 IUINet，将为所有扩展一并替换。

</translation>
    </message>
    <message>
        <source>about {seconds} s</source>
        <translation>约 {seconds} 秒</translation>
    </message>
    <message>
        <source>Ready – {name}, {free:.1f} GB free</source>
        <translation>就绪 – {name}，可用 {free:.1f} GB</translation>
    </message>
    <message>
        <source>Ready – {where}</source>
        <translation>就绪 – {where}</translation>
    </message>
    <message>
        <source>Ready – no GPU: {where}</source>
        <translation>就绪 – 无 GPU：{where}</translation>
    </message>
    <message>
        <source> (Fast: {time})</source>
        <translation>（快速：{time}）</translation>
    </message>
    <message>
        <source>PyTorch (about {size:.1f} GB)</source>
        <translation>PyTorch（约 {size:.1f} GB）</translation>
    </message>
    <message>
        <source>the model (about {size:.0f} MB)</source>
        <translation>模型（约 {size:.0f} MB）</translation>
    </message>
    <message>
        <source>Looking at this computer…</source>
        <translation>正在检查本机…</translation>
    </message>
    <message>
        <source>{time} on the CPU</source>
        <translation>在 CPU 上{time}</translation>
    </message>
</context>
<context>
    <name>panel.trouble</name>
    <message>
        <source>Try again</source>
        <translation>重试</translation>
    </message>
    <message>
        <source>Install extension</source>
        <translation>安装扩展</translation>
    </message>
    <message>
        <source>How to install by hand</source>
        <translation>如何手动安装</translation>
    </message>
    <message>
        <source>Open PyTorch Utils</source>
        <translation>打开 PyTorch Utils</translation>
    </message>
    <message>
        <source>Restart now</source>
        <translation>立即重启</translation>
    </message>
    <message>
        <source>Later</source>
        <translation>稍后</translation>
    </message>
    <message>
        <source>Use a region</source>
        <translation>只分割一个区域</translation>
    </message>
    <message>
        <source>Install from file…</source>
        <translation>从文件安装…</translation>
    </message>
    <message>
        <source>Copy address</source>
        <translation>复制地址</translation>
    </message>
    <message>
        <source>Choose folder…</source>
        <translation>选择文件夹…</translation>
    </message>
    <message>
        <source>Show log</source>
        <translation>显示日志</translation>
    </message>
    <message>
        <source>Nothing was found.</source>
        <translation>未找到任何器官。</translation>
    </message>
    <message>
        <source>Resume</source>
        <translation>继续</translation>
    </message>
    <message>
        <source>Download again</source>
        <translation>重新下载</translation>
    </message>
    <message>
        <source>Is this the right body region?</source>
        <translation>扫描部位是否正确？</translation>
    </message>
</context>
<context>
    <name>panel.volume</name>
    <message>
        <source>Slicer downloads the sample; it stands still meanwhile…</source>
        <translation>Slicer 正在下载示例；下载期间界面无响应…</translation>
    </message>
    <message>
        <source>Harden a copy</source>
        <translation>在副本上固化变换</translation>
    </message>
    <message>
        <source>Use a region</source>
        <translation>只分割一个区域</translation>
    </message>
    <message>
        <source>Place the box over the scan</source>
        <translation>把框放到扫描上</translation>
    </message>
    <message>
        <source>Sample CT (generated)</source>
        <translation>示例 CT（合成）</translation>
    </message>
    <message>
        <source>Only inside the box {name} ({size} mm): drag its handles in the slice views.</source>
        <translation>仅限框 {name}（{size} mm）内：可在切片视图中拖动其控制点。</translation>
    </message>
    <message>
        <source>{modality}, {size} voxels of {spacing} mm</source>
        <translation>{modality}，{size} 体素，体素大小 {spacing} mm</translation>
    </message>
    <message>
        <source>Select a CT volume, or load one: by Slicer&apos;s module DICOM, or by dragging its file onto the window.</source>
        <translation>请选择 CT 图像，或先加载一个：通过 Slicer 的 DICOM 模块，或将其文件拖入窗口。</translation>
    </message>
    <message>
        <source>Modality not stated</source>
        <translation>未注明成像方式</translation>
    </message>
</context>
</TS>
