"""Amazon's services behind our ports, over aiobotocore (extra ``aws``). Seen with fakes only: untested on AWS."""
