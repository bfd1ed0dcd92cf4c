"""A dataset version as Croissant 1.0 (MLCommons), the JSON-LD that other catalogues read.

Croissant names files by their SHA-256. A version with one source and such a digest is a file with records; of any
other, where it comes from and what its columns are is said in the words of schema.org.
"""

from __future__ import annotations

import re
from typing import Any

from muniment.model.dataset import Dataset, DatasetVersion
from muniment.model.schema import Column

CONFORMS = "http://mlcommons.org/croissant/1.0"
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_FORMATS = {
    "parquet": "application/x-parquet",
    "csv": "text/csv",
    "json": "application/json",
    "jsonl": "application/jsonlines",
}


def document(dataset: Dataset, version: DatasetVersion, url: str) -> dict[str, Any]:
    """The Croissant document of a dataset version.

    Args:
        dataset: the dataset.
        version: one of its versions.
        url: where the version can be looked at.
    """
    made: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS,
        "name": dataset.name,
        "description": dataset.description or dataset.name,
        "url": url,
        "version": version.version,
        "datePublished": version.created_at.date().isoformat(),
    }
    if version.license is not None:
        made["license"] = f"https://spdx.org/licenses/{version.license}.html"
    if version.digest is not None:
        made["identifier"] = version.digest
    file = _file(version)
    if file is not None:
        made["distribution"] = [file]
        made["recordSet"] = [_records(version.schema, file["@id"])] if version.schema else []
        return made
    if version.sources:
        made["isBasedOn"] = [source.uri for source in version.sources]
    if version.schema:
        made["variableMeasured"] = [column.name for column in version.schema]
    return made


def _file(version: DatasetVersion) -> dict[str, Any] | None:
    kind, _, digest = (version.digest or "").partition(":")
    if len(version.sources) != 1 or kind != "sha256" or not _SHA256.match(digest):
        return None
    source = version.sources[0]
    return {
        "@type": "cr:FileObject",
        "@id": "source",
        "name": "source",
        "contentUrl": source.uri,
        "encodingFormat": _FORMATS.get(source.format or "", source.format or "application/octet-stream"),
        "sha256": digest,
    }


def _records(columns: list[Column], file: str) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "records",
        "name": "records",
        "field": [_field(column, number, file) for number, column in enumerate(columns, 1)],
    }


def _field(column: Column, number: int, file: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"records/{number}",
        "name": column.name,
        "dataType": _data_type(column.type),
        "source": {"fileObject": {"@id": file}, "extract": {"column": column.name}},
    }
    if column.description is not None:
        made["description"] = column.description
    return made


def _data_type(type_: str | None) -> str:
    """The schema.org type of a producer's type; text where nothing else is known."""
    plain = (type_ or "").lower()
    if "bool" in plain:
        return "sc:Boolean"
    if "int" in plain and "interval" not in plain and "point" not in plain:
        return "sc:Integer"
    if any(word in plain for word in ("float", "double", "decimal", "numeric", "real", "number")):
        return "sc:Float"
    if "date" in plain or "time" in plain:
        return "sc:Date"
    return "sc:Text"
